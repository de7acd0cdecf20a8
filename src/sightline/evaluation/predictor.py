"""Encoded images in, predictions out, from a model directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, assert_never

import torch

from sightline.data.cache import decoded
from sightline.data.images import Placement
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.system.errors import UserError
from sightline.tasks.base import Task
from sightline.training.artifact.folder import ModelCard, read_model, read_onnx
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.heads.artifact import HeadCard, holds_head

Engine = Literal["auto", "torch", "onnx"]


@dataclass(frozen=True)
class Predictor:
    """A model ready to predict.

    Attributes:
        task: in evaluation mode.
        card: of the model directory.
        device: where it runs.
        onnx: the exported network, if that one computes the raw outputs; otherwise the task's network does.
    """

    task: Task
    card: ModelCard | HeadCard
    device: torch.device
    onnx: OnnxNetwork | None = None

    def predict(self, images: Sequence[bytes | memoryview]) -> list[dict[str, Any]]:
        """Return, for each encoded image (JPEG, PNG, ...), its prediction as plain values with class names.

        Raises:
            ValueError: an image is not readable.
        """
        return [prediction.to_json(self.card.labels) for prediction in self.predictions(images)]

    def predictions(self, images: Sequence[bytes | memoryview], mixes: FLOAT32 | None = None) -> list[Prediction]:
        """Return a prediction for each encoded image (JPEG, PNG, ...), in the pixels of the upright original.

        Args:
            images: encoded.
            mixes: M x K weights of the styles of a task that has some; None: each style alone.

        Raises:
            ValueError: an image is not readable.
        """
        image = self.card.input
        pixels, placements = decoded(images, image.size, image.channels, image.resize, image.interpolation)
        return self.predict_pixels(pixels, placements, mixes)

    def predict_pixels(
        self, pixels: UINT8, placements: Sequence[Placement], mixes: FLOAT32 | None = None
    ) -> list[Prediction]:
        """Return a prediction for each of N x size x size x channels images, with the given placements."""
        with torch.inference_mode():
            return self.task.predictions(self.outputs(pixels, mixes), placements)

    def outputs(self, pixels: UINT8, mixes: FLOAT32 | None = None) -> Any:
        """Return the raw outputs for N x size x size x channels images: a tensor, or tensors by name."""
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
        engine: `torch`; `onnx`, which is ONNX Runtime on the CPU; or `auto`, ONNX Runtime where the model has a
            `model.onnx` and the device is the CPU.
        threads: of ONNX Runtime, as in `OnnxNetwork`.

    Raises:
        UserError: no model there, or damaged; or it has no ONNX where that was asked for.
    """
    if torch.device(device).type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # predictions do not depend on the device, but for rounding
    task: Task
    card: ModelCard | HeadCard
    onnx: OnnxNetwork | None = None
    if holds_head(folder):
        from sightline.training.heads.task import read_head  # scikit-learn takes seconds to import

        head, card = read_head(folder)
        head.features.extractor.to(device)
        task = head
    else:
        task, card = read_model(folder)
        if _wants_onnx(device, engine):
            onnx = read_onnx(folder, card, threads)
    if engine == "onnx" and onnx is None:
        raise UserError(
            f"{folder}: engine onnx: this model has no model.onnx, because its kind of task is not exported; "
            f"use engine torch"
        )
    return Predictor(task.to(device), card, torch.device(device), onnx)


def _wants_onnx(device: str, engine: Engine) -> bool:
    match engine:
        case "torch":
            return False
        case "onnx":
            if device != "cpu":
                raise UserError(f"engine onnx runs on the CPU, not on {device}; use engine torch")
            return True
        case "auto":
            return device == "cpu" and find_spec("onnxruntime") is not None
        case _:
            assert_never(engine)
