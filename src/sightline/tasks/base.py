"""What every task has: a network, the way from pixels to its input, and steps that a trainer drives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.config.network import Views
from sightline.data.images import Placement
from sightline.data.structures import FLOAT32, LabelMap, Prediction

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Measurement:
    """How good a model is on one set of samples.

    Attributes:
        headline: name of the metric that intervals and the gate use, one of those that `metrics.by_kind` resamples.
        values: every metric by name, finite numbers; may be nested.
        rows: one row per sample, with at least id, source, `told`: truth -> prediction in a few words, and `score`: how
            good this one prediction is, by which the worst are found. Every metric that intervals and the gate use can
            be computed from the other columns, for any part of the rows; it need not be the mean of the scores. Only
            tasks with one class per sample have the columns label and predicted (ids).
        tables: further tables by name, written as CSV; `report` draws those it knows.
    """

    headline: str
    values: dict[str, Any]
    rows: pd.DataFrame
    tables: dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Target:
    """What a heat map explains of one image: the score of a class, where the task has places also at one place.

    Attributes:
        label: class id; of maps of classes, id in the map.
        name: of the class.
        sureness: what the network gives it, 0..1.
        place: of a detector the number of the anchor or window, else -1.
        box: of a detector xyxy in pixels of the input, None if there is none.
        region: of a segmenter the pixels of the class, S x S, else None.
    """

    label: int
    name: str
    sureness: float
    place: int = -1
    box: Box | None = None
    region: NDArray[np.bool_] | None = None


class Task(nn.Module, ABC):
    """A network with its loss, its predictions and its metrics.

    Where `views` says so, what it predicts is a mean over an image and its mirror image; `mean_of_views` says how.
    Images enter as N x H x W x C uint8 and are normalised on the device. `head` names the part of the network
    that is new when the rest comes pretrained.

    A task whose single classes can be explained by heat maps sets `explains`, and answers `class_scores`,
    `class_chances` and, unless each image has one score per class, `surest_target` and `target_values`.
    """

    kind: ClassVar[str]
    targets: ClassVar[tuple[str, ...]]  # fields of a sample that the loss reads
    truth_fields: ClassVar[tuple[str, ...]] = ()  # further fields that only `measure` reads
    calibrates: ClassVar[bool] = False  # whether `calibrate` settles something on validation data
    exports: bool = True  # whether `forward` can be written as a graph
    explains: bool = False  # whether single classes can be explained by heat maps
    views: Views = "one"  # of an image, whose mean is predicted
    learns_in_parts: bool = False  # whether there are epochs in which some layers have no part in the loss
    styles: tuple[str, ...] = ()  # that it draws in; `forward` of such a task also takes M x K mixes of them
    head_takes_vectors: ClassVar[bool] = False  # whether `head` is one layer that one vector per image enters

    def __init__(
        self, network: nn.Module, head: str, labels: LabelMap, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.labels = labels
        self.channels_last = False
        self.register_buffer("mean", 255 * torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(-1, 1, 1), persistent=False)

    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor) -> Any:
        """N x H x W x C uint8 -> raw outputs: a tensor, or tensors by name; outside of training of all views together.

        Their number and order of dimensions are fixed, N first, so that the whole can be exported as a graph; whatever
        depends on the content, such as suppression of overlapping boxes, belongs to `predictions`.
        """
        outputs = self.of_one_view(images)
        if self.views == "one" or self.training:
            return outputs
        return self.mean_of_views(outputs, self.of_one_view(images.flip(2)))

    def of_one_view(self, images: Tensor) -> Any:
        """N x H x W x C uint8 -> raw outputs for the images as they are, whatever the views."""
        pixels = images.permute(0, 3, 1, 2)  # NHWC in memory is what torch calls channels-last
        if not self.channels_last:
            pixels = pixels.contiguous()
        return self.network((pixels.to(self.mean.dtype) - self.mean) / self.std)

    def use_layout(self, channels_last: bool) -> None:
        """Keep weights and activations channels-last, or contiguous; the last bits of results depend on it."""
        self.channels_last = channels_last
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's annotations

    def mean_of_views(self, outputs: Any, mirrored: Any) -> Any:
        """Return the mean of raw outputs and those of the mirrored images, as raw outputs of the images."""
        raise NotImplementedError

    @abstractmethod
    def loss(self, outputs: Any, targets: dict[str, Any]) -> Tensor:
        """Return the mean loss of a batch, a scalar."""

    @abstractmethod
    def scores(self, outputs: Any, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Return means over a batch that are worth a curve; scalars, besides the loss."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Learn of an epoch (from 0) of a training that has begun, for tasks whose loss changes on the way."""

    def training_loss(self, images: Tensor, targets: dict[str, Any]) -> Tensor:
        """Return the loss of a training batch; for networks whose training differs from prediction."""
        return self.loss(in_float32(self(images)), targets)

    def validate(self, images: Tensor, targets: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return loss and scores of a validation batch."""
        outputs = in_float32(self(images))
        return self.loss(outputs, targets), self.scores(outputs, targets)

    def calibrate(self, outputs: Any, targets: dict[str, Any]) -> None:
        """Settle, on the whole validation split, what is not learned by gradients; kept in persistent buffers."""

    @abstractmethod
    def predictions(self, outputs: Any, placements: Sequence[Placement]) -> list[Prediction]:
        """Return one prediction per image, in the original images' pixels, given by `placements`."""

    @abstractmethod
    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Compare predictions with the truth.

        Args:
            predictions: one per row of `truth`, in its order.
            truth: the columns id, source, height, width, and those of `targets` and `truth_fields`, as they are stored.
            bins: of calibration.
        """

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes that targets may be of, by id."""
        return self.labels.classes

    @property
    def inner_network(self) -> nn.Module:
        """The network whose layers are explained."""
        return self.network

    @property
    def window(self) -> int | None:
        """Side in pixels of what `inner_network` sees, where that is a part of the image only."""
        return None

    def look_inside(self, images: Tensor) -> Any:
        """Run `inner_network` on N x S x S x C images, uint8 or float in 0..255, or on N windows of such pixels.

        Explanations look at the images as they are, whatever the views.
        """
        return self.of_one_view(images)

    def class_scores(self, inside: Any) -> Tensor:
        """Outputs of `look_inside` -> N x K scores; of tasks with places the largest, of maps the mean."""
        raise NotImplementedError

    def class_chances(self, outputs: Any) -> Tensor:
        """Raw outputs of N images with one score per class -> N x K numbers in 0..1."""
        raise NotImplementedError

    def surest_target(self, outputs: Any, label: int | None = None) -> Target:
        """Return what the network is most confident about in one image.

        Args:
            outputs: raw, of a single image.
            label: id of the class to choose instead, which has a name.
        """
        _, chosen, sure = surest(self.class_chances(outputs), label)
        return Target(chosen, self.class_names[chosen], sure)

    def target_values(self, images: Tensor, targets: Sequence[Target], chances: bool) -> Tensor:
        """Return N values of the targets, differentiable.

        Args:
            images: N x S x S x C, uint8 or float in 0..255.
            targets: of each image.
            chances: whether to return numbers in 0..1 instead of the scores before softmax or sigmoid.
        """
        outputs = self.look_inside(images)
        values = self.class_chances(outputs) if chances else self.class_scores(outputs)
        return of_classes(values, targets)


def in_float32(outputs: Any) -> Any:
    """Return raw outputs in float32, whatever the network computed in: losses are sums, and logarithms, of many."""
    if isinstance(outputs, dict):
        return {name: in_float32(values) for name, values in outputs.items()}
    return outputs.float() if torch.is_floating_point(outputs) else outputs


def of_classes(values: Tensor, targets: Sequence[Target]) -> Tensor:
    """N x K x ... values of all classes -> N x ... of the targets' classes."""
    rows = torch.arange(len(targets), device=values.device)
    return values[rows, torch.tensor([target.label for target in targets], device=values.device)]


def surest(chances: Tensor, label: int | None) -> tuple[int, int, float]:
    """Return place, class id and chance of the largest of P x K chances of one image, or of the largest of a class."""
    if label is not None:
        others = torch.arange(chances.shape[1]) != label
        chances = chances.masked_fill(others.to(chances.device), -1.0)
    place, chosen = divmod(int(chances.argmax()), chances.shape[1])
    return place, chosen, float(chances[place, chosen])


def channel_statistics(
    channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and deviation per channel: those given, else ImageNet's for RGB and 0.5 for grey."""
    default_mean, default_std = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,), (0.5,))
    return mean or default_mean, std or default_std


def numbers(tensor: Tensor) -> FLOAT32:
    """Return a tensor's values on the host."""
    return np.asarray(tensor.detach().float().cpu().numpy(), dtype=np.float32)
