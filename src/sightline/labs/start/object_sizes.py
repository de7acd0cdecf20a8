"""How large objects are seen: the input, the maps and the tiles that small ones need."""

from __future__ import annotations

from typing import Any

from sightline.data.tiles import tiles_over
from sightline.labs.start.entries import Chosen
from sightline.labs.start.facts import Facts

_WELL_SEEN = 25.0  # pixels at the network's input from which a larger input gains little
_LEAST_SEEN = 12.0  # pixels at the network's input below which an object leaves hardly a trace on a map of stride 8
_LOST = 5.0  # pixels below which it leaves none on a map of stride 4 either
COARSEST = 32  # stride of a detector's last map
_FAIRLY_SEEN = 16.0  # pixels at the network's input at which a detector finds most small objects
_MOST_ENLARGED = 4.0  # times; more shows nothing new
_OVERLAP = 0.25  # of tiles


def wanted_size(facts: Facts) -> tuple[int, str]:
    """Return the size at which objects can be seen, at most that of the images."""
    native = max(128, min(640, round(facts.side / 32) * 32))
    if facts.objects is None:
        size = min(native, 480)
        return size, f"images have {facts.width} x {facts.height} px"
    for size in (256, 320, 384, 448, 512, 640):
        if size >= native:
            return native, f"images have {facts.width} x {facts.height} px"
        if facts.objects.small * size >= _WELL_SEEN:
            break
    small, half = facts.objects.small * size, facts.objects.median * size
    return size, f"small objects are then {small:.0f} px large, half of all more than {half:.0f}"


def strides_for(facts: Facts, size: int, tile: int | None) -> Any:
    """Return the strides of a detector's maps, for an input of which a whole image or a tile is seen."""
    if facts.objects is None:
        return [8, 16, COARSEST]
    small = facts.objects.small * (size if tile is None else facts.side * size / tile)
    if small >= _LEAST_SEEN:
        return [8, 16, COARSEST]
    return Chosen([4, 8, 16, COARSEST], f"small objects are {small:.0f} px large at this size")


def is_lost(facts: Facts) -> bool:
    """Return whether small objects leave no trace in the largest input that would show the whole image."""
    if facts.objects is None or facts.task not in ("detection", "instance_segmentation"):
        return False
    return facts.objects.small * wanted_size(facts)[0] < _LOST


def tile_side(facts: Facts, size: int) -> int:
    """Return the side of tiles in which small objects are seen at a fair size, at most four times their own."""
    assert facts.objects is not None
    small = facts.objects.small * facts.side
    enlarged = min(_MOST_ENLARGED, max(1.0, _FAIRLY_SEEN / small))
    return max(64, round(size / enlarged / 32) * 32)


def tiling_section(facts: Facts, tile: int) -> tuple[dict[str, Any], str]:
    """Return the section for tiles, and what to know about it."""
    assert facts.objects is not None
    small, whole = facts.objects.small, wanted_size(facts)[0]
    told = f"small objects are {small * facts.side:.0f} px large in the images, {small * whole:.1f} px at {whole} px"
    each = len(tiles_over(facts.height, facts.width, tile, _OVERLAP))
    section = {"size": Chosen(tile, f"px of the originals; {told}"), "overlap": Chosen(_OVERLAP, "holds an object")}
    note = f"{told}, which no detector finds: the model sees {each} tiles of {tile} px of each image (docs/tiling.md)"
    return {"tiling": section}, note
