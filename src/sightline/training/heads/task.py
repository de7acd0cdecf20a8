"""A head as a task: images in, log probabilities out, measured as every classifier is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.structures import LabelMap
from sightline.tasks.classification import Classification
from sightline.training.features.building import read_features
from sightline.training.features.feature_map import FeatureMap
from sightline.training.features.store import EXTRACTOR
from sightline.training.heads.anomaly.task import AnomalyDetector, read_detector
from sightline.training.heads.artifact import HeadCard, read_head_card
from sightline.training.heads.classifiers import probabilities_of
from sightline.training.heads.skops_file import load

_LEAST = 1e-12  # probability whose logarithm is still taken


class HeadClassifier(Classification):
    """Finds features in images and classifies them; it is fitted already, and never trained by gradients.

    Args:
        features: from images to vectors.
        layers: those that are joined, in this order.
        classifier: fitted on them; its classes are ids.
        labels: the classes.
    """

    exports = False
    explains = False  # its features have no gradients

    def __init__(self, features: FeatureMap, layers: Sequence[str], classifier: Any, labels: LabelMap) -> None:
        super().__init__(nn.Identity(), "", labels, (0.0,), (1.0,))
        self.features, self.layers, self.classifier = features, tuple(layers), classifier

    def forward(self, images: Tensor) -> Tensor:
        """N x S x S x C uint8 -> N x K log probabilities, whose softmax they are again."""
        found = self.features(images.cpu().numpy())
        vectors = np.concatenate([found[name] for name in self.layers], axis=1)
        probabilities = probabilities_of(self.classifier, vectors, len(self.labels))
        return torch.from_numpy(np.log(np.maximum(probabilities, _LEAST)))


def read_head(folder: Path) -> tuple[HeadClassifier | AnomalyDetector, HeadCard]:
    """Load the directory of a head; nothing in it is unpickled.

    Raises:
        UserError: damaged, or files that are not the card's.
    """
    card = read_head_card(folder)
    features, file = read_features(folder / EXTRACTOR), folder / card.file
    if card.task == "anomaly":
        return read_detector(card, file, features).eval(), card
    classifier = load(file.read_bytes(), str(file))
    return HeadClassifier(features, card.layers, classifier, card.labels).eval(), card
