"""What every extractor is: images of one size in, named vectors of features out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from sightline.data.structures import FLOAT32, UINT8

Vectors = dict[str, FLOAT32]  # by name of the layer, N x D
MapShape = tuple[int, int, int]  # channels, height, width


class Extractor(ABC):
    """Computes features of images; it holds all that it needs.

    Attributes:
        dimensions: number of features of each layer, by its name.
        maps: of the layers whose features are those of single places, channel by channel and row by row: what their
            vectors are as maps.
    """

    dimensions: Mapping[str, int]
    maps: Mapping[str, MapShape] = MappingProxyType({})

    @abstractmethod
    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8, RGB or grey -> N x D float32 of each layer."""

    def fit(self, batches: Callable[[], Iterator[UINT8]], count: int, seed: int) -> None:  # noqa: B027
        """Learn from the images of the train split; most have nothing to learn.

        Args:
            batches: yields all train images, as often as it is called, some at a time.
            count: of the train images.
            seed: of whatever is drawn.
        """

    def write(self, folder: Path) -> None:  # noqa: B027 - most have nothing to write
        """Write the files that make the same extractor again, next to its settings; most need none."""

    def to(self, device: str) -> None:  # noqa: B027 - only networks compute elsewhere
        """Compute on a device, where the extractor can."""
