"""Photographs in the styles of paintings, each in one pass, and in mixes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sightline.config.models import Input
from sightline.config.tasks.style_network import StyleNetwork as Config
from sightline.data.images import Placement, decode
from sightline.data.structures import UINT8, LabelMap, Prediction
from sightline.models.classify.hub import Weights
from sightline.models.processes import joint_mean
from sightline.models.style.judge import StyleJudge, build_judge
from sightline.models.style.losses import total_variation
from sightline.models.style.mixes import mix_name
from sightline.models.style.network import style_resnet
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers

_WHITE = 255
_METRICS = ("loss_reduction", "content_distance", "style_distance")


def build_style_network(
    task: Config, image: Input, labels: LabelMap, weights: Weights, judged_by: Weights | None
) -> StyleNetwork:
    """Build a style network, its loss network, and what that knows of the paintings.

    Args:
        task: the section.
        image: the section `input`.
        labels: of the data set.
        weights: of the network itself.
        judged_by: weights of the loss network; None where a saved model brings them, and the paintings' matrices.

    Raises:
        UserError: weights that do not fit, or a painting that is missing or no picture.
    """
    network = style_resnet(image.channels, len(task.styles), weights=weights, **task.options())
    judge = build_judge(
        task.loss_network,
        judged_by or "random",
        len(task.styles),
        image.size,
        task.content_layers,
        task.style_layers,
        average_pooling=task.pooling == "average",
    )
    if judged_by is not None:
        judge.learn_styles(
            [_painting(Path(task.paintings, file), task.style_size or image.size) for file in task.styles]
        )
    factors = (task.content_weight, task.style_weight, task.tv_weight)
    return StyleNetwork(
        network,
        judge,
        task.names,
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        factors,
        image.size,
    )


class StyleNetwork(Task):
    """Draws each image in every style, or in the mixes that it is given (Johnson et al. 2016, Dumoulin et al. 2017).

    Args:
        network: images and mixes in, pictures out.
        judge: what the loss is measured with.
        styles: their names.
        labels, mean, std: as of any task.
        factors: weights of content, style and total variation.
        size: longer side at which pictures are judged, pixels.
    """

    kind: ClassVar[str] = "style_network"
    targets: ClassVar[tuple[str, ...]] = ()
    truth_fields: ClassVar[tuple[str, ...]] = ("image",)
    pure: Tensor

    def __init__(
        self,
        network: nn.Module,
        judge: StyleJudge,
        styles: Sequence[str],
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        factors: tuple[float, float, float],
        size: int,
    ) -> None:
        super().__init__(network, "leave", labels, mean, std)
        self.judge, self.styles, self.factors, self.size = judge, tuple(styles), factors, size
        self.register_buffer("pure", torch.eye(len(styles)), persistent=False)

    def forward(self, images: Tensor, mixes: Tensor | None = None) -> dict[str, Tensor]:
        """N x S x S x C uint8 -> `pictures` N x M x 3 x S x S in 0..1, and `mixes` N x M x K, of which they are.

        Args:
            images: photographs.
            mixes: M x K weights of the styles that sum to 1; None: each style alone.
        """
        mixes = self.pure if mixes is None else mixes
        pixels = images.permute(0, 3, 1, 2)
        if not self.channels_last:
            pixels = pixels.contiguous()
        pixels = (pixels.to(self.mean.dtype) - self.mean) / self.std
        count, times = pixels.shape[0], mixes.shape[0]
        every = pixels.unsqueeze(1).expand(-1, times, -1, -1, -1).flatten(0, 1)
        own = mixes.unsqueeze(0).expand(count, -1, -1)
        pictures = self.network(every, own.flatten(0, 1))
        return {"pictures": pictures.view(count, times, *pictures.shape[1:]), "mixes": own.clone()}

    def loss(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Mean over images and mixes of the distances from `image` (N x S x S x C uint8) and styles, and roughness."""
        content, style = self._distances(outputs, targets)
        factors = self.factors
        rough = total_variation(outputs["pictures"].flatten(0, 1))
        return joint_mean(factors[0] * content.mean() + factors[1] * style.mean() + factors[2] * rough, len(content))

    def scores(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean distances over images and mixes."""
        content, style = self._distances(outputs, targets)
        return {"content_distance": content.mean(), "style_distance": style.mean()}

    def training_loss(self, images: Tensor, targets: dict[str, Any]) -> Tensor:
        """Return the loss of a batch, each image in every style."""
        return self.loss(self(images), targets | {"image": images})

    def validate(self, images: Tensor, targets: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return loss and scores of images."""
        return super().validate(images, targets | {"image": images})

    def predictions(self, outputs: dict[str, Tensor], placements: Sequence[Placement]) -> list[Prediction]:
        """Pictures in 0..1 -> those of each image by the name of their mix, of the original's size."""
        pixels = _WHITE * numbers(outputs["pictures"]).transpose(0, 1, 3, 4, 2)  # N x M x S x S x 3
        names = [[mix_name(self.styles, mix) for mix in own] for own in numbers(outputs["mixes"]).tolist()]
        return [
            Prediction(pictures={name: _original(one, place) for name, one in zip(own, many, strict=True)})
            for own, many, place in zip(names, pixels, placements, strict=True)
        ]

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Means over images and styles of three numbers, at the size of the input.

        `content_distance` and `style_distance` are the loss network's, relative to photograph and painting.
        `loss_reduction` is the share of the weighted loss of the photograph itself that its pictures have lost: 0 of
        the unchanged photograph, 1 of the impossible picture with all of its content in exactly the style.

        Args:
            predictions: one per row of `truth`, with a picture for each style.
            truth: the columns id, source and image, the encoded bytes.
            bins: not used.
        """
        found: list[dict[str, list[float]]] = []
        for encoded, said in zip(truth["image"], predictions, strict=True):
            assert said.pictures is not None
            found.append(self._judged(decode(encoded, 3), [said.pictures[name] for name in self.styles]))
        values = {name: np.array([one[name] for one in found]).reshape(len(found), -1) for name in _METRICS}
        rows = pd.DataFrame({"id": truth["id"], "source": truth["source"]})
        rows = rows.assign(**{name: own.mean(1) for name, own in values.items()})
        told = zip(rows["content_distance"], rows["style_distance"], strict=True)
        rows["told"] = [f"content {content:.2f} away, style {style:.3f}" for content, style in told]
        rows["score"] = rows["loss_reduction"]
        table = pd.DataFrame({"style": self.styles, **{name: own.mean(0) for name, own in values.items()}})
        return Measurement(_METRICS[0], {name: float(rows[name].mean()) for name in _METRICS}, rows, {"styles": table})

    def _judged(self, photograph: UINT8, pictures: Sequence[UINT8]) -> dict[str, list[float]]:
        """Return each metric for the pictures of a photograph, one for each style; all H x W x 3."""
        device = self.pure.device
        original, *drawn = (_sized(one, self.size).to(device) for one in (photograph, *pictures))
        with torch.inference_mode():
            content, style = self.judge.distances(torch.cat(drawn), original, self.pure)
            same = original.expand(len(self.styles), -1, -1, -1)
            before = self.factors[1] * self.judge.distances(same, original, self.pure)[1]
            loss = self.factors[0] * content + self.factors[1] * style
            reduction = 1 - loss / before.clamp_min(1e-12)
        values = zip(_METRICS, (reduction, content, style), strict=True)
        return {name: numbers(own).astype(np.float64).tolist() for name, own in values}

    def _distances(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        photographs = targets["image"].permute(0, 3, 1, 2).float() / _WHITE
        photographs = photographs.expand(-1, 3, -1, -1)  # grey ones
        return self.judge.distances(outputs["pictures"].flatten(0, 1), photographs, outputs["mixes"].flatten(0, 1))


def _painting(path: Path, size: int) -> Tensor:
    """Read a painting, 1 x 3 x H x W in 0..1, its longer side `size` pixels.

    Raises:
        UserError: it is missing or no picture.
    """
    if not path.is_file():
        raise UserError(f"task.styles: {path}: no such picture; name a file of the folder task.paintings")
    try:
        return _sized(decode(path.read_bytes(), 3), size)
    except ValueError as error:
        raise UserError(f"task.styles: {path}: not a readable picture ({error}); save it as JPEG or PNG") from None


def _sized(pixels: UINT8, size: int) -> Tensor:
    """H x W x 3 uint8 -> 1 x 3 x h x w in 0..1, of which the longer side is `size`."""
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    sized = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return torch.from_numpy(np.ascontiguousarray(sized.transpose(2, 0, 1)))[None].float() / _WHITE


def _original(pixels: np.ndarray[Any, np.dtype[np.float32]], place: Placement) -> UINT8:
    """S x S x 3 in 0..255 -> H x W x 3 uint8 of the original."""
    moved = place.map_into_original(np.ascontiguousarray(pixels), linear=True).reshape(place.height, place.width, -1)
    image: UINT8 = np.rint(moved).clip(0, _WHITE).astype(np.uint8)
    return image
