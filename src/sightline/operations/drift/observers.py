"""Who looks at images: a model of the project, an entry of `features`, or filters made by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightline.config.models import Input
from sightline.data.images import Placement, decode, fit, place
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.system.errors import UserError

_SIDE = 64  # pixels, both sides, of what the filters see
_COLOURS = 4  # cells along each side in which brightness and two opponent colours are averaged


class Observer(ABC):
    """Turns images of its own input size into vectors, and into predictions if it makes some.

    Attributes:
        title: how pages call it.
        input: what it sees.
        classes: names of the classes that it predicts; empty if it predicts none.
    """

    title: str
    input: Input
    classes: Sequence[str] = ()

    def open(self, encoded: bytes | memoryview, colours: UINT8) -> tuple[UINT8, Placement]:
        """Return S x S x C of an image, and the position of the image in it.

        Args:
            encoded: the image.
            colours: the same decoded, H x W x 3.
        """
        own = self.input
        image = colours if own.channels == 3 else decode(encoded, own.channels)
        pixels = fit(image, own.size, own.resize, own.interpolation)
        return pixels, place(image.shape[0], image.shape[1], own.size, own.resize)

    @abstractmethod
    def __call__(self, pixels: UINT8, placements: Sequence[Placement]) -> tuple[FLOAT32, list[Prediction]]:
        """N x S x S x C uint8 -> N x D vectors, and N predictions or none."""


class HandmadeObserver(Observer):
    """Gradients (HOG, Dalal and Triggs 2005) and mean colours of cells: it knows no objects, and needs no file."""

    title = "gradients and colours"
    input = Input(size=_SIDE, channels=3, resize="stretch")

    def __init__(self) -> None:
        from sightline.training.features.handmade import Hog

        self._hog = Hog(_SIDE, cell=_SIDE // 2, block=2, bins=9)  # 36 numbers: no more than there are of colours

    def __call__(self, pixels: UINT8, placements: Sequence[Placement]) -> tuple[FLOAT32, list[Prediction]]:
        """N x 64 x 64 x 3 -> N x 84."""
        small = [cv2.resize(image, (_COLOURS, _COLOURS), interpolation=cv2.INTER_AREA) for image in pixels]
        red, green, blue = np.moveaxis(np.stack(small).astype(np.float32) / np.float32(255), 3, 0)
        opponents = np.stack([red + green + blue, red - green, red + green - 2 * blue], axis=-1)
        return np.concatenate([self._hog(pixels)["hog"], opponents.reshape(len(pixels), -1)], axis=1), []


class FeaturesObserver(Observer):
    """The extractor of an embedded entry of `features`.

    Args:
        folder: `data/features/NAME`.

    Raises:
        UserError: nothing is embedded there, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        from sightline.training.features.building import read_features
        from sightline.training.features.store import EXTRACTOR

        self._features = read_features(folder / EXTRACTOR)
        self.title, self.input = f"features {folder.name}", self._features.settings.input

    def __call__(self, pixels: UINT8, placements: Sequence[Placement]) -> tuple[FLOAT32, list[Prediction]]:
        """N x S x S x C -> N x D, the layers joined."""
        return np.concatenate(list(self._features(pixels).values()), axis=1), []


class ModelObserver(Observer):
    """A model directory: what enters its last layer, averaged over places, and its predictions.

    Args:
        folder: of a network or a head.
        title: how pages call it.

    Raises:
        UserError: no model there, or damaged.
    """

    def __init__(self, folder: Path, title: str) -> None:
        from sightline.evaluation.predictor import load_predictor
        from sightline.system.device import chosen_device

        self._predictor = load_predictor(folder, chosen_device(), engine="torch")
        if self._predictor.sight.tiling is not None:
            raise UserError(f"{title}: sees tiles, and drift is of whole images; name an entry of features instead")
        self.title, self.input = title, self._predictor.card.input
        self.classes = self._predictor.card.labels.classes

    def open(self, encoded: bytes | memoryview, colours: UINT8) -> tuple[UINT8, Placement]:
        """Return what the network sees, which may be a part of the image."""
        if self._predictor.cropper is None:
            return super().open(encoded, colours)
        return self._predictor.seen_alone(encoded)

    def __call__(self, pixels: UINT8, placements: Sequence[Placement]) -> tuple[FLOAT32, list[Prediction]]:
        """N x S x S x C -> N x D, and N predictions."""
        import torch

        from sightline.training.heads.anomaly.task import AnomalyDetector
        from sightline.training.heads.task import HeadClassifier

        task = self._predictor.task
        if isinstance(task, HeadClassifier):
            found = task.features(pixels)
            vectors = np.concatenate([found[name] for name in task.layers], axis=1)
            return vectors, self._predictor.predict_pixels(pixels, placements)
        if isinstance(task, AnomalyDetector):
            found = task.features(pixels)
            patches = task.detector.layout.patches([found[name] for name in task.layers])
            return patches.mean(1), self._predictor.predict_pixels(pixels, placements)
        seen: list[Any] = []
        # A head that is no function of its own is entered by the first of its parts.
        parts = task.network.get_submodule(task.head).modules()
        hooks = [part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs)) for part in parts]
        try:
            with torch.inference_mode():
                outputs = self._predictor.outputs(pixels)
                predictions = task.predictions(outputs, placements)
        finally:
            for hook in hooks:
                hook.remove()
        return _vectors(seen[:1], len(pixels), self.title), predictions


def _vectors(entered: Any, count: int, title: str) -> FLOAT32:
    """Return N x D float32 from all tensors that entered a layer, however they are nested.

    A tensor of several parts of each image (windows, levels of a pyramid) is averaged over them.
    """
    from sightline.tasks.base import numbers
    from sightline.training.features.pooling import pooled

    found = []
    for tensor in _tensors(entered):
        if tensor.ndim >= 2 and tensor.is_floating_point() and len(tensor) and len(tensor) % count == 0:
            own = numbers(pooled(tensor, "avg"))
            found.append(own.reshape(count, -1, own.shape[1]).mean(1))
    if not found:
        raise UserError(f"{title}: does not give a vector for an image; name an entry of features instead of a model")
    return np.concatenate(found, axis=1)


def _tensors(nested: Any) -> list[Any]:
    import torch

    if isinstance(nested, torch.Tensor):
        return [nested]
    if isinstance(nested, dict):
        nested = list(nested.values())
    return [tensor for part in nested for tensor in _tensors(part)] if isinstance(nested, list | tuple) else []
