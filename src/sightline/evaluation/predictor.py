"""Encoded images in, predictions out, from a model directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

import torch

from sightline.config.crop_by import CropBy
from sightline.data.images import Placement, decode
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.system.errors import UserError
from sightline.tasks.base import Task
from sightline.training.artifact.detector import cropper_by, require_detector
from sightline.training.artifact.folder import ModelCard, read_model, read_onnx
from sightline.training.artifact.int8 import read_int8
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.heads.artifact import HeadCard, holds_head
from sightline.training.sight import Pixels, Sight

if TYPE_CHECKING:  # a name of its own, as the code of crops is no part of models without (docs/stamps.md)
    from sightline.data.crops.cropper import Cropper

    MaybeCropper = Cropper | None

Engine = Literal["auto", "torch", "onnx", "int8"]
Seen = tuple[Pixels, list[Placement]]  # of the network's input or of tiled images, and the position of each original


@dataclass(frozen=True)
class Predictor:
    """A model ready to predict.

    Attributes:
        task: in evaluation mode.
        card: of the model directory.
        device: where it runs.
        onnx: the exported network, as it is or in int8, if that one computes the raw outputs; otherwise the task's
            network does.
        cropper: cuts out what the network sees; None if it sees whole images.
    """

    task: Task
    card: ModelCard | HeadCard
    device: torch.device
    onnx: OnnxNetwork | None = None
    cropper: MaybeCropper = None

    @property
    def sight(self) -> Sight:
        """How it looks at images."""
        card = self.card
        return Sight(card.input) if isinstance(card, HeadCard) else Sight(card.input, card.tiling, card.task)

    def predict(self, images: Sequence[bytes | memoryview]) -> list[dict[str, Any]]:
        """Return, for each encoded image (JPEG, PNG, ...), its prediction as plain values with class names.

        Raises:
            ValueError: an image is not readable.
        """
        return [prediction.as_answer().to_json(self.card.labels) for prediction in self.predictions(images)]

    def predictions(self, images: Sequence[bytes | memoryview], mixes: FLOAT32 | None = None) -> list[Prediction]:
        """Return a prediction for each encoded image (JPEG, PNG, ...), in the pixels of the upright original.

        Args:
            images: encoded.
            mixes: M x K weights of the styles of a task that has some; None: each style alone.

        Raises:
            ValueError: an image is not readable.
        """
        return self.predict_pixels(*self.seen(images), mixes)

    def seen(self, images: Sequence[bytes | memoryview]) -> Seen:
        """Return what `predict_pixels` takes of encoded images: each as a whole, or what its detector finds in it.

        Raises:
            ValueError: an image is not readable.
        """
        image = self.card.input
        if self.cropper is None:
            return self.sight.decoded(images)
        return self.cropper.decoded(images, image.size, image.channels, image.resize, image.interpolation)

    def seen_alone(self, encoded: bytes | memoryview) -> tuple[UINT8, Placement]:
        """Return what `seen` does of a single image, without the threads that several are worth.

        Raises:
            ValueError: the image is not readable.
        """
        if self.cropper is None:
            return self.sight.see(decode(encoded, self.card.input.channels))
        [pixels], [placement] = self.seen([encoded])
        return pixels, placement

    def predict_pixels(
        self, pixels: Pixels, placements: Sequence[Placement], mixes: FLOAT32 | None = None
    ) -> list[Prediction]:
        """Return a prediction for each of N images, as `seen` gives them with their placements."""
        with torch.inference_mode():
            said = self.sight.predictions(self.task, partial(self.outputs, mixes=mixes), pixels, placements)
        return said if self.cropper is None else self.cropper.told(said, placements)

    def outputs(self, pixels: UINT8, mixes: FLOAT32 | None = None) -> Any:
        """Return the raw outputs for N x height x width x channels images: a tensor, or tensors by name."""
        if self.onnx is not None:
            return self.onnx(pixels, mixes)
        images = torch.from_numpy(pixels).to(self.device)
        with torch.inference_mode():
            return self.task(images) if mixes is None else self.task(images, torch.from_numpy(mixes).to(self.device))


def load_predictor(folder: Path, device: str = "cpu", engine: Engine = "auto", threads: int | None = None) -> Predictor:
    """Load a model directory, of a network or of a head.

    Args:
        folder: the model directory.
        device: of torch, such as `cpu`, `cuda` or `cuda:1`.
        engine: `torch`; `onnx`, which is ONNX Runtime on the CPU; `int8`, the same with `model.int8.onnx` (the
            detector of a chain stays as it is); or `auto`, ONNX Runtime where the model has a `model.onnx` and the
            device is the CPU.
        threads: of ONNX Runtime, as in `OnnxNetwork`.

    Raises:
        UserError: no model there, or damaged; or it has no ONNX where that was asked for.
    """
    if not holds_head(folder):
        return load_network(folder, device, engine, threads)
    from sightline.training.heads.task import read_head  # scikit-learn takes seconds to import

    _prepare(device)
    head, card = read_head(folder)
    head.features.extractor.to(device)
    if engine in ("onnx", "int8"):
        raise _no_graph(folder, engine)
    return Predictor(head.to(device), card, torch.device(device))


def load_network(folder: Path, device: str = "cpu", engine: Engine = "auto", threads: int | None = None) -> Predictor:
    """Load the model directory of a network, and of the detector in it; the arguments are those of `load_predictor`.

    Raises:
        UserError: no network there, or damaged; or it has no ONNX where that was asked for.
    """
    _prepare(device)
    task, card = read_model(folder)
    onnx = _exported(folder, card, engine, threads) if _wants_onnx(device, engine) else None
    cropper = _cropper(folder, card, device, "auto" if engine == "int8" else engine, threads)
    return Predictor(task.to(device), card, torch.device(device), onnx, cropper)


def _prepare(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # predictions do not depend on the device, but for rounding


def _exported(folder: Path, card: ModelCard, engine: Engine, threads: int | None) -> OnnxNetwork | None:
    """Return the exported network that an engine runs; None if there is none and any engine is allowed."""
    onnx = read_int8(folder, card, threads) if engine == "int8" else read_onnx(folder, card, threads)
    if engine == "onnx" and onnx is None:
        raise _no_graph(folder, engine)
    return onnx


def _no_graph(folder: Path, engine: Engine) -> UserError:
    return UserError(
        f"{folder}: engine {engine}: this model has no model.onnx, because its kind of task is not exported; "
        f"use engine torch"
    )


def _cropper(folder: Path, card: ModelCard, device: str, engine: Engine, threads: int | None) -> MaybeCropper:
    """Load the detector in a model directory, if there is one."""
    match card.crop_by:
        case CropBy() as crop:
            inner = require_detector(folder, card)
            detector = load_network(inner, device, engine, threads)
            return cropper_by(detector.predictions, detector.card.labels, crop, inner)
        case _:
            return None


def _wants_onnx(device: str, engine: Engine) -> bool:
    match engine:
        case "torch":
            return False
        case "onnx" | "int8":
            if device != "cpu":
                raise UserError(f"engine {engine} runs on the CPU, not on {device}; use engine torch")
            return True
        case "auto":
            return device == "cpu" and find_spec("onnxruntime") is not None
        case _:
            assert_never(engine)
