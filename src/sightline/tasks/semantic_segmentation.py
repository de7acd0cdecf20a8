"""One class per pixel."""

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
from sightline.config.network import Views
from sightline.config.tasks.semantic_segmentation import SemanticSegmentation as Config
from sightline.data.images import Placement, decode
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, IGNORED, UINT8, LabelMap, Prediction
from sightline.models.classify.hub import Weights
from sightline.models.processes import joint_mean, joint_sum
from sightline.models.segment.segmenters import build_segmenter
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement, Target, Task, channel_statistics, numbers, of_classes
from sightline.tasks.metrics.counts import precision, recall
from sightline.tasks.metrics.segmentation import Overlap, confusion, overlap_of, stacked
from sightline.tasks.views import mean_of_classes

Loss = Literal["cross_entropy", "dice", "focal", "cross_entropy_dice"]
FOCUS = 2.0  # gamma of the focal loss, the paper's best
_LEAST = 1e-6  # divisor where all pixels are ignored
_TOLD = 3  # classes named in a few words
_LEAST_REGION = 0.02  # share of an image's pixels that stand for a class which wins none


def build_semantic_segmentation(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> SemanticSegmentation:
    """Build a segmenter and its loss from configuration."""
    classes = len(labels.map_classes)
    network = build_segmenter(task.architecture, image.channels, image.size, classes, weights=weights, **task.options())
    return SemanticSegmentation(
        network,
        "head",
        labels,
        *channel_statistics(image.channels, image.mean, image.std),
        loss=task.loss,
        class_weights=None if train is None else _class_weights(train, classes, task.class_weights == "balanced"),
        views=task.views,
    )


def _class_weights(train: SplitStore, classes: int, balanced: bool) -> list[float] | None:
    """Return a weight per class, N / (K n_k) for n_k of N pixels, or None for equal ones.

    Raises:
        UserError: samples without a map, or with values that are not a class.
    """
    counts = np.zeros(256, np.int64)
    for source, encoded in zip(train.sources, train.column("semantic"), strict=True):
        if encoded is None:
            raise UserError(
                f"{train.path}: {source} has no map of classes (`semantic`), which task.kind: semantic_segmentation "
                "needs; choose another task.kind or data set"
            )
        counts += np.bincount(decode(encoded, 1).ravel(), minlength=256)
    counts = counts[:IGNORED]
    if counts[classes:].any():
        values = f"values up to {np.flatnonzero(counts)[-1]}, but there are {classes} classes"
        raise UserError(f"{train.path}: maps have {values}; name all of them in the data set")
    return (counts.sum() / np.maximum(classes * counts[:classes], 1)).tolist() if balanced else None


class SemanticSegmentation(Task):
    """K scores per pixel, brought to the original's size before the largest is taken."""

    kind: ClassVar[str] = "semantic_segmentation"
    targets: ClassVar[tuple[str, ...]] = ("semantic",)
    explains = True

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        loss: Loss = "cross_entropy",
        class_weights: Sequence[float] | None = None,
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        self.criterion: Loss = loss
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    class_weights: Tensor | None

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return scores of the mean of both probabilities, pixel by pixel."""
        return mean_of_classes(outputs, mirrored.flip(3))

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Mean loss of N x K x H x W scores against N x H x W class ids, without the pixels of id 255."""
        scores, truth = outputs.float(), targets["semantic"].long()
        match self.criterion:
            case "cross_entropy":
                return cross_entropy(scores, truth, self.class_weights)
            case "focal":
                return cross_entropy(scores, truth, self.class_weights, FOCUS)
            case "dice":
                return dice_loss(scores, truth)
            case "cross_entropy_dice":
                return cross_entropy(scores, truth, self.class_weights) + dice_loss(scores, truth)
            case _:
                assert_never(self.criterion)

    def scores(self, outputs: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean IoU of the batch, and the share of pixels whose class is right; in the input's pixels.

        They are those of `metrics.segmentation.Overlap` in float32 on the device, so that no step waits for the host.
        """
        truth = targets["semantic"].long()
        counted = truth != IGNORED
        classes = outputs.shape[1]
        pairs = truth[counted] * classes + outputs.argmax(1)[counted]
        pixels = torch.bincount(pairs, minlength=classes**2).view(classes, classes).float()
        hits = pixels.diagonal()
        union = pixels.sum(0) + pixels.sum(1) - hits
        iou = (hits / union.clamp_min(1)).sum() / (union > 0).sum().clamp_min(1)
        return {"mIoU": iou, "pixel_accuracy": hits.sum() / pixels.sum().clamp_min(1)}

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """N x K x S x S scores -> the class of each pixel of the original images."""
        images = numbers(outputs).transpose(0, 2, 3, 1)
        return [Prediction(semantic=_map(one, place)) for one, place in zip(images, placements, strict=True)]

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the map's classes, the background among them."""
        return self.labels.map_classes

    def class_scores(self, inside: Tensor) -> Tensor:
        """N x K x S x S scores -> N x K means."""
        return inside.mean((2, 3))

    def surest_target(self, outputs: Tensor, label: int | None = None) -> Target:
        """Return the class with the most confidence in its pixels, never the background, and these pixels."""
        names, background = self.class_names, int(bool(self.labels.semantic))
        chances = outputs[0].float().softmax(0)
        won = chances.argmax(0)
        mass = [float(chances[k][won == k].sum()) if k >= background else -1.0 for k in range(len(names))]
        chosen = int(np.argmax(mass)) if label is None else label
        region = won == chosen
        if not bool(region.any()):  # the pixels that come nearest
            chosen = int(chances[background:].mean((1, 2)).argmax()) + background if label is None else label
            region = chances[chosen] >= chances[chosen].flatten().quantile(1 - _LEAST_REGION)
        return Target(chosen, names[chosen], float(chances[chosen][region].mean()), region=region.cpu().numpy())

    def target_values(self, images: Tensor, targets: Sequence[Target], chances: bool) -> Tensor:
        """Mean score, or mean softmax, of the targets' classes over their pixels."""
        scores: Tensor = self.of_one_view(images)
        own = of_classes(scores.softmax(1) if chances else scores, targets)
        regions = torch.from_numpy(np.stack([_region(target) for target in targets])).to(own)
        return (own * regions).sum((1, 2)) / regions.sum((1, 2)).clamp_min(1)

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Mean IoU, mean Dice, pixel accuracy, over all pixels of all original images that have a class.

        Means over classes leave out those that are neither in the truth nor in the predictions.
        """
        names = self.labels.map_classes
        pixels = np.zeros((len(names), len(names)), np.int64)
        single = []  # K x K numbers per image could fill the memory
        for encoded, said in zip(truth["semantic"], predictions, strict=True):
            assert said.semantic is not None
            own = confusion(decode(encoded, 1)[..., 0], said.semantic, len(names))
            pixels += own
            single.append(overlap_of(own))
        images = stacked(single)
        total = images.summed()
        rows = pd.DataFrame(
            {
                "id": truth["id"],
                "source": truth["source"],
                "told": [_told(names, a, b) for a, b in zip(images.actual, images.claimed, strict=True)],
                "score": images.mean_iou,
                "hits": list(images.hits),
                "actual": list(images.actual),
                "claimed": list(images.claimed),
            }
        )
        values: dict[str, Any] = {
            "mIoU": float(total.mean_iou),
            "dice": float(total.mean_dice),
            "pixel_accuracy": float(total.pixel_accuracy),
        }
        table = pd.DataFrame(pixels, columns=list(names))
        table.insert(0, "actual", list(names), allow_duplicates=True)
        return Measurement("mIoU", values, rows, {"per_class": _per_class(images, names), "pixels": table})


def cross_entropy(scores: Tensor, truth: Tensor, weights: Tensor | None = None, focus: float = 0.0) -> Tensor:
    """Mean over pixels of -w (1 - p)^focus log p, where p is the probability of the true class and w its weight.

    With `focus` 0 it is cross entropy, above it the focal loss (Lin et al. 2017, equation 4, for a softmax). The mean
    is weighted by w; it is 0 where all pixels are ignored.

    Args:
        scores: N x K x H x W float32.
        truth: N x H x W int64, 255 = ignored.
        weights: K, None for equal ones.
        focus: how much less a pixel counts that is nearly right.
    """
    losses = F.cross_entropy(scores, truth, ignore_index=IGNORED, reduction="none")
    counted = truth != IGNORED
    importance = counted.float() if weights is None else weights[truth.where(counted, 0)] * counted
    if focus:
        losses = losses * (1 - torch.exp(-losses)) ** focus
    total = importance.sum()
    return joint_mean((losses * importance).sum() / total.clamp_min(_LEAST), total, _LEAST)


def dice_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """1 - 2 sum p g / (sum p + sum g), mean over the classes that the batch has; 0 where it has none.

    Milletari, Navab and Ahmadi 2016, section 3, without squares, per class over all pixels of the batch; p are
    probabilities and g is 1 at pixels of the class, else 0. Ignored pixels are in no sum.

    Args:
        scores: N x K x H x W float32.
        truth: N x H x W int64, 255 = ignored.
    """
    classes = scores.shape[1]
    counted = truth != IGNORED
    ids = truth.where(counted, 0)
    probabilities = scores.softmax(1) * counted[:, None]
    # Gathering p where g is 1, and not multiplying the two, halves the time.
    right = probabilities.gather(1, ids[:, None])
    common = right.new_zeros(classes).index_add(0, ids.flatten(), right.flatten())
    said, there = probabilities.sum((0, 2, 3)), truth[counted].bincount(minlength=classes)
    common, said, there = joint_sum(common), joint_sum(said), joint_sum(there)
    losses = 1 - 2 * common / (said + there).clamp_min(_LEAST)
    present = there > 0
    return (losses * present).sum() / present.sum().clamp_min(1)


def _region(target: Target) -> NDArray[np.bool_]:
    assert target.region is not None
    return target.region


def _map(scores: FLOAT32, place: Placement) -> UINT8:
    """S x S x K scores -> H x W class ids of the original."""
    original = place.map_into_original(scores, linear=True)
    ids: UINT8 = original.reshape(place.height, place.width, -1).argmax(-1).astype(np.uint8)
    return ids


def _per_class(images: Overlap, names: Sequence[str]) -> pd.DataFrame:
    total = images.summed()
    return pd.DataFrame(
        {
            "class": list(names),
            "samples": (images.actual > 0).sum(0),
            "pixels": total.actual,
            "iou": total.iou,
            "dice": total.dice,
            "precision": precision(total.hits, total.claimed),
            "recall": recall(total.hits, total.actual),
        }
    )


def _told(names: Sequence[str], actual: NDArray[Any], claimed: NDArray[Any]) -> str:
    return f"{_largest(names, actual)} → {_largest(names, claimed)}"


def _largest(names: Sequence[str], pixels: NDArray[Any]) -> str:
    """Name the classes with the most pixels, with their shares."""
    order = np.argsort(-pixels, kind="stable")[:_TOLD]
    shares = pixels / max(1, pixels.sum())
    return ", ".join(f"{names[k]} {shares[k]:.0%}" for k in order if pixels[k]) or "nothing"
