"""Encoded images in, predictions out, from a model directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sightline.artifact import ModelCard, read_model
from sightline.data.cache import decoded
from sightline.data.images import Placement
from sightline.heads.artifact import HeadCard, holds_head
from sightline.heads.task import read_head
from sightline.structures import UINT8, Prediction
from sightline.tasks.base import Task


@dataclass(frozen=True)
class Predictor:
    """A model ready to predict.

    Attributes:
        task: in evaluation mode.
        card: of the model directory.
        device: where it runs.
    """

    task: Task
    card: ModelCard | HeadCard
    device: torch.device

    def predict(self, images: Sequence[bytes | memoryview]) -> list[dict[str, Any]]:
        """Return, for each encoded image (JPEG, PNG, ...), its prediction as plain values with class names.

        Raises:
            ValueError: an image is not readable.
        """
        return [prediction.to_json(self.card.labels) for prediction in self.predictions(images)]

    def predictions(self, images: Sequence[bytes | memoryview]) -> list[Prediction]:
        """Return a prediction for each encoded image."""
        image = self.card.input
        return self.predict_pixels(*decoded(images, image.size, image.channels, image.resize))

    def predict_pixels(self, pixels: UINT8, placements: Sequence[Placement]) -> list[Prediction]:
        """Return a prediction for each of N x size x size x channels images, placed there as told."""
        with torch.inference_mode():
            outputs = self.task(torch.from_numpy(pixels).to(self.device))
            return self.task.predictions(outputs, placements)


def load_predictor(folder: Path, device: str = "cpu") -> Predictor:
    """Load a model directory, of a network or of a head.

    Raises:
        UserError: no model there, or damaged.
    """
    task: Task
    card: ModelCard | HeadCard
    if holds_head(folder):
        head, card = read_head(folder)
        head.features.extractor.to(device)
        task = head
    else:
        task, card = read_model(folder)
    return Predictor(task.to(device), card, torch.device(device))
