"""Photographs of the test split in every style of a style network, and in mixes of two."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.data.images import decode
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32
from sightline.evaluation.report.grid import Cell, draw_grid
from sightline.evaluation.report.panels import Panel, fitted
from sightline.evaluation.report.samples import Predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PHOTOGRAPHS = 5
_MIXES = 3  # of two styles that follow each other in the list
_COLUMNS = 8  # panels side by side


def styles_page(prepared: Path, styles: tuple[str, ...], predict: Predict) -> Figure:
    """Draw photographs side by side with their pictures.

    Args:
        prepared: folder of the data set; photographs are taken from the test split at equal distances.
        styles: of the model, K.
        predict: draws encoded images in M x K mixes.
    """
    test = SplitStore(prepared / "test")
    places = np.unique(np.linspace(0, len(test) - 1, _PHOTOGRAPHS).astype(int)).tolist()
    images = [test.image(place) for place in places]
    cells = []
    for image, said in zip(images, predict(images, shown_mixes(len(styles))), strict=True):
        named = {"photograph": decode(image, 3)} | (said.pictures or {})
        panels = [Panel(name.replace("+", "\n+ "), fitted(picture)) for name, picture in named.items()]
        cells += [Cell(panels[start : start + _COLUMNS], "") for start in range(0, len(panels), _COLUMNS)]
    return draw_grid(cells, "photographs in every style, and in mixes of two", 1, {})


def shown_mixes(count: int) -> FLOAT32:
    """Return M x K weights: each of K styles alone, then some pairs of neighbours, half and half."""
    alone = np.eye(count, dtype=np.float32)
    halves = [(alone[one] + alone[other]) / 2 for one, other in pairwise(range(count))]
    return np.concatenate([alone, *(half[None] for half in halves[:_MIXES])])
