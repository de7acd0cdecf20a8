"""What a network is given of an image, all of it or tiles, and what it then says of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.config.tiling import MaybeTiling, Tiling
from sightline.data.cache import decoded, side_by_side
from sightline.data.images import Placement, decode, fit, place
from sightline.data.structures import UINT8, Prediction
from sightline.system.processors import usable_processors
from sightline.tasks.base import Task

Run = Callable[[UINT8], Any]  # N x S x S x C uint8 -> raw outputs
Pixels = UINT8 | Sequence[UINT8]  # N images of the input's size, or N images of their own sizes where there are tiles


def of_whole_images(
    task: Task, runs: Sequence[Run], pixels: Pixels, placements: Sequence[Placement]
) -> list[list[Prediction]]:
    """Return for each image the prediction of each network, as `Sight.compared` without tiles."""
    images = np.asarray(pixels)
    each = [task.predictions(run(images), placements) for run in runs]
    return [list(own) for own in zip(*each, strict=True)]


@dataclass(frozen=True)
class Sight:
    """How a model looks at images.

    Attributes:
        input: the section `input`.
        tiling: the section `tiling`, if any.
        kind: the section `task`; None for heads, which have no tiles.
    """

    input: Input
    tiling: MaybeTiling = None
    kind: TaskConfig | None = None

    def see(self, image: UINT8) -> tuple[UINT8, Placement]:
        """Return what `predictions` takes of an upright image H x W x C, and the position of the original in it."""
        height, width = image.shape[:2]
        own = self.input
        match self.tiling:
            case Tiling():  # which are cut when they are predicted: together they are larger than the image
                return image, Placement(height, width, max(height, width), 1.0, 1.0, 0.0, 0.0)
            case _:
                placed = place(height, width, own.extent, own.resize)
                return fit(image, own.extent, own.resize, own.interpolation), placed

    def decoded(self, images: Sequence[bytes | memoryview]) -> tuple[Pixels, list[Placement]]:
        """Return what `predictions` takes, of encoded images.

        Raises:
            ValueError: an image is not readable.
        """
        own = self.input
        match self.tiling:
            case Tiling():
                with ThreadPoolExecutor(usable_processors()) as pool:
                    size = len(images[0]) if images else 0
                    whole = list(side_by_side(lambda encoded: decode(encoded, own.channels), images, size, pool))
                seen = [self.see(image) for image in whole]
                return [pixels for pixels, _ in seen], [placed for _, placed in seen]
            case _:
                return decoded(images, own.extent, own.channels, own.resize, own.interpolation)

    def predictions(self, task: Task, run: Run, pixels: Pixels, placements: Sequence[Placement]) -> list[Prediction]:
        """Return a prediction for each image.

        Args:
            task: in evaluation mode.
            run: its network, or the exported one.
            pixels: of `see` or `decoded`.
            placements: likewise.
        """
        return [own for [own] in self.compared(task, [run], pixels, placements)]

    def compared(
        self, task: Task, runs: Sequence[Run], pixels: Pixels, placements: Sequence[Placement]
    ) -> list[list[Prediction]]:
        """Return for each image the prediction of each network; they run in turn on the same pixels."""
        match self.tiling:
            case Tiling() as tiling:
                from sightline.training.tiles.prediction import tiled_predictions

                assert self.kind is not None
                return [tiled_predictions(task, runs, image, self.kind, self.input, tiling) for image in pixels]
            case _:
                return of_whole_images(task, runs, pixels, placements)

    def at_once(self, images: int) -> int:
        """Return how many of so many images shall be in memory together: large ones one by one."""
        return images if self.tiling is None else 1
