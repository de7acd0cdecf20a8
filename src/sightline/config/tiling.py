"""`models.*.tiling:` large images seen in overlapping tiles, so that small objects keep their pixels."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sightline.config.base import Fraction, PositiveInt, Section

KINDS = ("detection", "instance_segmentation", "semantic_segmentation")  # whose answers of tiles make one of the image


class Tiling(Section):
    """Tiles of the original image, each brought to `input.size`; what is said of them is merged (docs/tiling.md)."""

    size: Annotated[int, Field(ge=32, le=4096)] = Field(
        512, description="side of a tile in pixels of the original; input.size is what the network sees it in"
    )
    overlap: Annotated[float, Field(ge=0, le=0.75)] = Field(
        0.25, description="least share of a tile's side that neighbours have in common; should hold a whole object"
    )
    per_image: Annotated[int, Field(ge=1, le=1000)] = Field(
        4, description="tiles that are drawn of each training and validation image in an epoch"
    )
    empty: Fraction = Field(0.2, description="share of the drawn tiles that avoid objects; the others are around one")
    least_visible: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="share of an object in a tile from which on it is learned; less of it is painted over"
    )
    merge_inside: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="an object cut by a tile is left out if more of it is inside one that another tile sees"
    )
    max_objects: PositiveInt = Field(
        500, description="objects that are kept of an image, the most confident ones; task.max_objects counts per tile"
    )

    def draws(self) -> dict[str, Any]:
        """Return how training tiles are drawn as keyword arguments of `data.vary.tile_draws.DrawnTiles`."""
        return {name: getattr(self, name) for name in ("size", "per_image", "empty", "least_visible")}


MaybeTiling = Tiling | None  # for classes of code: a name among choices is not yet a section that exists
