"""What finds defects, however it was fitted: features of places in, a score and a heat map of each image out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.data.structures import FLOAT32
from sightline.training.heads.anomaly.maps import Layout, heat_of
from sightline.training.heads.anomaly.padim import PlaceGaussians
from sightline.training.heads.anomaly.patch_core import PatchMemory

Scorer = PatchMemory | PlaceGaussians
_KINDS: dict[str, type[PatchMemory] | type[PlaceGaussians]] = {"patch_core": PatchMemory, "padim": PlaceGaussians}


@dataclass(frozen=True)
class Detector:
    """Scores images by their features.

    Attributes:
        scorer: fitted.
        layout: of the features.
        size: of the input, pixels.
        blur: of heat maps, pixels of the input.
    """

    scorer: Scorer
    layout: Layout
    size: int
    blur: float

    def __call__(self, layers: Sequence[FLOAT32]) -> tuple[FLOAT32, FLOAT32]:
        """Vectors of each layer, N x D -> N scores and N x S x S heat maps, 0 and above."""
        scores, places = self.scorer.score(self.layout.patches(layers))
        heat = heat_of(places, self.layout.grid, self.size, self.blur)
        return (heat.max((1, 2)) if scores is None else scores), heat


def scorer_of(kind: str, tensors: Mapping[str, Any]) -> Scorer:
    """Return what was fitted, from its tensors."""
    return _KINDS[kind].from_tensors(tensors)
