"""A few of a model's errors as small pictures: rows of an evaluation and the prepared test images in."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sightline.data.images import decode
from sightline.data.store import SplitStore
from sightline.evaluation.report.weakest import Units
from sightline.operations.pages.pictures import Picture
from sightline.operations.pages.sources import Sources
from sightline.system.errors import UserError

_SHOWN, _SIDE = 3, 100  # pictures, and their longer side in pixels


def worst_samples(units: Units, group: int, order: Any) -> list[int]:
    """Return the rows of the worst units of a group, those that are shown first on the model's page before others."""
    own = units.of(group)
    shares = units.values[own] / units.sizes[own]
    rank = {int(place): number for number, place in enumerate(order)}
    best = float((units.values / units.sizes).max())
    wrong = [
        (share, rank.get(int(units.samples[unit]), len(rank)), int(units.samples[unit]))
        for share, unit in zip(shares.tolist(), own.tolist(), strict=True)
        if share < best and units.samples[unit] >= 0
    ]
    return list(dict.fromkeys(place for _, _, place in sorted(wrong)))[:_SHOWN]


def error_pictures(sources: Sources, rows: pd.DataFrame, places: Sequence[int]) -> list[Picture]:
    """Return test images as small pictures; none where the data set is not there any more."""
    try:
        store = SplitStore(sources.prepared / "test")
    except UserError:
        return []
    index = {identity: place for place, identity in enumerate(store.ids)}
    shown = [row for row in (rows.iloc[place] for place in places) if row["id"] in index]
    return [_thumbnail(store.image(index[row["id"]]), f"{row['source']}: {row['told']}") for row in shown]


def _thumbnail(encoded: memoryview, alt: str) -> Picture:
    import cv2

    pixels = decode(encoded, 3)
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    _, written = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    return Picture(f"data:image/png;base64,{base64.b64encode(written.tobytes()).decode()}", *size, alt)
