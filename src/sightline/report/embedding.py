"""A map of samples: points that lie near each other are alike to a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.report.figures import SMALL, new_figure, plain
from sightline.structures import FLOAT32

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = 30  # classes in the legend


def draw_embedding(points: FLOAT32, labels: NDArray[np.int64], names: Sequence[str], title: str) -> Figure:
    """Draw samples as points, a colour and a mark per class.

    Args:
        points: N x 2; only their distances mean something.
        labels: N class ids.
        names: of the classes.
        title: of the picture.
    """
    from matplotlib import colormaps

    there = np.unique(labels).tolist()
    colours = colormaps["tab10" if len(there) <= 10 else "tab20"]
    figure, (axis,) = new_figure(1, 1, width=7.6, height=5.6)
    for place, label in enumerate(there):
        own = points[labels == label]
        turn, colour = divmod(place, colours.N)
        style: Any = {"s": 14, "color": colours(colour), "marker": "os^Dv"[turn % 5], "linewidths": 0, "alpha": 0.8}
        axis.scatter(own[:, 0], own[:, 1], label=plain(names[label], 20), **style)
    axis.set(title=title, xticks=[], yticks=[])
    if len(there) <= _NAMED:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=SMALL, frameon=False, ncols=1 + len(there) // 25)
    return figure
