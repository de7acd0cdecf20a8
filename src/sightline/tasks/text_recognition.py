"""What is written on a strip, by connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, assert_never

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Input
from sightline.config.tasks.text_recognition import TextRecognition as Config
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, LabelMap, Prediction
from sightline.models.classify.hub import Weights
from sightline.models.processes import joint_mean
from sightline.models.read.column_network import BLANK, column_network, columns_of
from sightline.models.read.decoding import best_paths, best_text, columns_needed, columns_of_characters
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics
from sightline.tasks.metrics.text import aligned, edits, error_rate

_FLOAT64 = NDArray[np.float64]
_BEAM = 10
_NOTHING = "(nothing)"  # a character that was missed, or that is not there


def build_text_recognition(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> TextRecognition:
    """Build a network that says which character stands in each column, from configuration."""
    if not labels.characters:
        raise UserError(
            f"{train.path if train else 'this data set'}: its images have no text, which task.kind: text_recognition "
            "needs; use csv with a column text, text_list or strings, or choose another task.kind or data set"
        )
    columns = columns_of(image.extent, task.stride)
    if train is not None:
        _require_room(train.column("text"), columns, task.stride)
    network = column_network(image.channels, image.extent, len(labels.characters), weights=weights, **task.options())
    return TextRecognition(
        network,
        "head",
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        stride=task.stride,
        decoding=task.decoding,
        beam_width=task.beam_width or _BEAM,
    )


def _require_room(texts: Sequence[str], columns: int, stride: int) -> None:
    """Check that each text has a path through the columns.

    Raises:
        UserError: one is too long.
    """
    longest = max(texts, key=columns_needed, default="")
    needed = columns_needed(longest)
    if needed > columns:
        raise UserError(
            f"input.width: {columns * stride}: gives {columns} columns, but {longest!r} needs {needed}, one for each "
            f"character and between equal ones; use at least {needed * stride}, or a smaller task.stride"
        )


class TextRecognition(Task):
    """Scores of characters in columns; the loss sums over all paths through them that spell the true text."""

    kind: ClassVar[str] = "text_recognition"
    targets: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        stride: int = 4,
        decoding: Literal["greedy", "beam"] = "greedy",
        beam_width: int = _BEAM,
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.stride, self.beam_width = stride, beam_width
        self.decoding: Literal["greedy", "beam"] = decoding

    def of_one_view(self, images: Tensor) -> Tensor:
        """N x H x W x C uint8 -> N x T x (1 + K) scores: no character, and each of K characters, in T columns."""
        scores: Tensor = super().of_one_view(images)
        return scores.float()

    def loss(self, outputs: Tensor, targets: dict[str, Any]) -> Tensor:
        """Mean over images of -log p(text), divided by its length (Graves et al. 2006, equation 12).

        A text that does not fit into the columns has no path and counts 0; in train it is refused beforehand.
        """
        wanted = targets["text"]
        losses = _losses(_logs(outputs), wanted.cpu()) / (wanted.cpu() >= 0).sum(1).clamp_min(1)
        return joint_mean(losses.mean().to(outputs.device), len(outputs))

    def scores(self, outputs: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Character error rate and share of right texts of the best path."""
        told = best_paths(_logs(outputs.detach()).double().numpy())
        true = [[number for number in row if number >= 0] for row in targets["text"].cpu().tolist()]
        wrong = [edits(aligned(self._text(one), self._text(other))) for one, other in zip(true, told, strict=True)]
        rate = error_rate(sum(wrong), sum(map(len, true)))
        exact = float(np.mean([not own for own in wrong]))
        return {
            "character_error_rate": torch.tensor(rate, device=outputs.device),
            "exact_match": torch.tensor(exact, device=outputs.device),
        }

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """Return the text of each image, its probability over all paths, and where each character was read."""
        logs = _logs(outputs.detach())
        values = logs.double().numpy()
        texts = self._texts(values)
        longest = max(1, *map(len, texts))
        padded = torch.tensor([[*text, *[-1] * (longest - len(text))] for text in texts])
        sure = torch.exp(-_losses(logs, padded)).clamp(0, 1).tolist()
        spans = columns_of_characters(values, texts)
        told = zip(texts, sure, spans, placements, strict=True)
        return [
            Prediction(text=self._text(t), text_score=p, text_spans=self._edges(s, place)) for t, p, s, place in told
        ]

    def _texts(self, logs: _FLOAT64) -> list[list[int]]:
        match self.decoding:
            case "greedy":
                return best_paths(logs)
            case "beam":
                return [best_text(own, self.beam_width) for own in logs]
            case _:
                assert_never(self.decoding)

    def _text(self, numbers: Iterable[int]) -> str:
        return "".join(self.labels.characters[number] for number in numbers)

    def _edges(self, spans: NDArray[np.int64], placement: Placement) -> FLOAT32:
        """Return L x 2 left and right edges of columns in the original, from their first and last numbers."""
        across = (spans + np.array([0, 1])).astype(np.float32) * self.stride
        points = np.stack([across, np.zeros_like(across)], -1)
        edges: FLOAT32 = placement.into_original(points)[..., 0].clip(0, placement.width)
        return edges

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Character error rate of all texts together, and the share of texts that are right to the last character."""
        said = list(predictions)
        pairs = [aligned(true, own.text or "") for true, own in zip(truth["text"], said, strict=True)]
        wrong, lengths = np.array([edits(own) for own in pairs]), np.array([len(own) for own in truth["text"]])
        rates = [error_rate(*own) for own in zip(wrong.tolist(), lengths.tolist(), strict=True)]
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "text": truth["text"],
                "read": [own.text for own in said],
                "told": [f"{true} → {own.text}" for true, own in zip(truth["text"], said, strict=True)],
                "score": np.maximum(0.0, 1.0 - np.array(rates)),
                "characters": lengths,
                "edits": wrong,
                "exact": wrong == 0,
                "confidence": [own.text_score for own in said],
            }
        )
        values = {
            "character_error_rate": error_rate(int(wrong.sum()), int(lengths.sum())) if lengths.sum() else 0.0,
            "exact_match": float((wrong == 0).mean()),
        }
        table = pd.DataFrame(
            [(true or _NOTHING, read or _NOTHING) for own in pairs for true, read in own],
            columns=["actual", "predicted"],
        )
        tables = {"characters": table, "per_character": _per_character(table, self.labels)}
        return Measurement("character_error_rate", values, rows, tables)


def _logs(outputs: Tensor) -> Tensor:
    """N x T x C scores -> logarithms of probabilities, on the CPU: there CTC's gradient is the same every time."""
    return F.log_softmax(outputs.float().cpu(), 2)


def _losses(logs: Tensor, texts: Tensor) -> Tensor:
    """Return -log p of N texts, N x L with -1 behind their ends, over all their paths; 0 for those without a path."""
    lengths = (texts >= 0).sum(1)
    columns = torch.full((len(texts),), logs.shape[1])
    with torch.autocast("cpu", enabled=False):
        return F.ctc_loss(
            logs.transpose(0, 1), texts + 1, columns, lengths, blank=BLANK, reduction="none", zero_infinity=True
        )


def _per_character(pairs: pd.DataFrame, labels: LabelMap) -> pd.DataFrame:
    """Return for each character how often it is there, and the share of those that were read right."""
    right = pairs["actual"] == pairs["predicted"]
    counts = [(pairs["actual"] == one) for one in labels.characters]
    return pd.DataFrame(
        {
            "character": list(labels.characters),
            "samples": [int(own.sum()) for own in counts],
            "recall": [float(right[own].mean()) if own.any() else float("nan") for own in counts],
        }
    )
