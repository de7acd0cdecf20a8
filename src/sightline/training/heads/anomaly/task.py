"""A head that finds defects as a task: images in, scores and heat maps out, measured on images with defects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor, nn

from sightline.data.images import Placement, decode
from sightline.data.structures import LabelMap, Prediction
from sightline.system.errors import UserError, first_line
from sightline.tasks.base import Measurement, Task, numbers
from sightline.tasks.metrics.anomaly import Seen, measurement
from sightline.training.features.feature_map import FeatureMap
from sightline.training.heads.anomaly.detector import Detector, scorer_of
from sightline.training.heads.anomaly.maps import Layout
from sightline.training.heads.artifact import HeadCard


class AnomalyDetector(Task):
    """Scores images by how far their features are from those of good ones; it is fitted already, without gradients.

    Scores are divided by the threshold: above 1 an image, or a place of it, counts as defective.

    Args:
        features: from images to features of places.
        layers: those that are used, in this order.
        detector: fitted on them.
        threshold: of its scores.
        good: id of the class of good images.
        labels: the classes.
    """

    kind: ClassVar[str] = "anomaly"
    targets: ClassVar[tuple[str, ...]] = ()
    truth_fields: ClassVar[tuple[str, ...]] = ("label", "semantic")
    exports = False  # the search of a memory is no network
    explains = False  # its heat map is a part of each prediction

    def __init__(
        self,
        features: FeatureMap,
        layers: Sequence[str],
        detector: Detector,
        threshold: float,
        good: int,
        labels: LabelMap,
    ) -> None:
        super().__init__(nn.Identity(), "", labels, (0.0,), (1.0,))
        self.features, self.layers, self.detector = features, tuple(layers), detector
        self.threshold, self.good = threshold, good

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """N x S x S x C uint8 -> N scores, and N x S x S heat maps."""
        found = self.features(images.cpu().numpy())
        scores, heat = self.detector([found[name] for name in self.layers])
        outputs = {"score": torch.from_numpy(scores), "heat": torch.from_numpy(heat)}
        return {name: values / self.threshold for name, values in outputs.items()}

    def loss(self, outputs: Any, targets: dict[str, Any]) -> Tensor:
        """Not there: it is fitted."""
        raise NotImplementedError("a head is fitted, not trained")

    def scores(self, outputs: Any, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Not there: it is fitted."""
        raise NotImplementedError("a head is fitted, not trained")

    def predictions(self, outputs: dict[str, Tensor], placements: Sequence[Placement]) -> list[Prediction]:
        """Return score and heat map of each image, the map in the original's pixels."""
        scores, heat = numbers(outputs["score"]).tolist(), numbers(outputs["heat"])
        return [
            Prediction(anomaly=score, heat=placed.map_into_original(own, linear=True))
            for score, own, placed in zip(scores, heat, placements, strict=True)
        ]

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Areas under the ROC of images and pixels, overlap with defects, and errors at the threshold."""
        good_pixel = 0 if self.labels.semantic else self.good  # of maps with a background that is it

        def seen() -> Iterable[Seen]:
            columns = (truth[name] for name in ("source", "label", "semantic"))
            for said, source, label, encoded in zip(predictions, *columns, strict=True):
                if label < 0:
                    raise UserError(f"{source}: has no class (`label`); name it in the data set, or remove the image")
                assert said.anomaly is not None
                assert said.heat is not None
                mask = None if encoded is None else decode(encoded, 1)[..., 0]
                yield Seen(int(label), said.anomaly, said.heat, mask, good_pixel)

        return Measurement(*measurement(seen(), truth[["id", "source"]], self.labels.classes, self.good))


def read_detector(card: HeadCard, file: Path, features: FeatureMap) -> AnomalyDetector:
    """Load what was fitted.

    Args:
        card: of the head.
        file: of its tensors.
        features: its extractor.

    Raises:
        UserError: damaged.
    """
    from safetensors.numpy import load

    settings = card.settings
    try:
        layout = Layout(tuple(features.maps[name] for name in card.layers), settings["neighbourhood"])
        scorer = scorer_of(card.kind, load(file.read_bytes()))
        detector = Detector(scorer, layout, card.input.size, settings["blur"])
        good = card.labels.classes.index(settings["good"])
        return AnomalyDetector(features, card.layers, detector, settings["chosen"]["threshold"], good, card.labels)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{file}: damaged ({first_line(error)}); restore it with dvc checkout") from None
