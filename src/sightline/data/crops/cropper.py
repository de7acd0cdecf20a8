"""Encoded images in, what a network sees of them out: the most confident box of a detector."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightline.data.crops.geometry import CropPlacement, seen, square_around, whole
from sightline.data.images import Interpolation, Placement, Resize, decode
from sightline.data.structures import UINT8, Crop, Prediction

Find = Callable[[Sequence[bytes | memoryview]], list[Prediction]]


@dataclass(frozen=True)
class Cropper:
    """Cuts out what a detector finds.

    Attributes:
        find: the detector: boxes for each encoded image, most confident first.
        names: of the detector's classes.
        wanted: ids of those whose boxes count.
        margin: around the box, as a share of its longer side.
        least_score: boxes with a lower one do not count.
        refuses: whether there is no answer for an image without a box.
    """

    find: Find
    names: Sequence[str]
    wanted: Collection[int]
    margin: float
    least_score: float
    refuses: bool

    def crops(self, images: Sequence[bytes | memoryview], shapes: Sequence[tuple[int, int]]) -> list[Crop]:
        """Return the crop of each encoded image, of this height and width.

        Raises:
            ValueError: an image is not readable.
        """
        return [self.chosen(prediction, *shape) for prediction, shape in zip(self.find(images), shapes, strict=True)]

    def chosen(self, prediction: Prediction, height: int, width: int) -> Crop:
        """Return the square around the most confident box that counts; without one the whole image."""
        boxes, labels, scores = prediction.boxes, prediction.box_labels, prediction.box_scores
        assert boxes is not None
        assert labels is not None
        assert scores is not None
        counted = [n for n in range(len(boxes)) if labels[n] in self.wanted and scores[n] >= self.least_score]
        if not counted:
            return Crop(whole(height, width), refused=self.refuses)
        best = max(counted, key=lambda n: float(scores[n]))  # of equals the first
        left, top, right, bottom = (float(edge) for edge in boxes[best])
        box = (left, top, right, bottom)
        return Crop(square_around(box, self.margin), box, self.names[labels[best]], float(scores[best]))

    def decoded(
        self, images: Sequence[bytes | memoryview], size: int, channels: int, resize: Resize, by: Interpolation
    ) -> tuple[UINT8, list[Placement]]:
        """Return N x size x size x channels uint8 of the crops of encoded images, and the placement of each.

        Raises:
            ValueError: an image is not readable.
        """
        pixels = [decode(image, channels) for image in images]
        crops = self.crops(images, [(one.shape[0], one.shape[1]) for one in pixels])
        pairs = [seen(one, crop, size, resize, by) for one, crop in zip(pixels, crops, strict=True)]
        return np.stack([own for own, _ in pairs]), [placement for _, placement in pairs]

    def told(self, predictions: Sequence[Prediction], placements: Sequence[Placement]) -> list[Prediction]:
        """Return predictions that say what part of its image each was made from."""
        pairs = zip(predictions, placements, strict=True)
        return [replace(one, crop=own.crop) if isinstance(own, CropPlacement) else one for one, own in pairs]
