"""A map of samples: points that are close to each other are similar for a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.report.figures import SMALL, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 30  # classes in the legend
_THUMBNAIL = 22  # points of a small image's side
_APART = 0.065  # of the map's side, between small images


def draw_embedding(points: FLOAT32, labels: NDArray[np.int64], names: Sequence[str], title: str) -> Figure:
    """Draw samples as points, a colour and a mark per class.

    Args:
        points: N x 2; only their distances mean something.
        labels: N class ids.
        names: of the classes.
        title: of the picture.
    """
    figure, (axis,) = new_figure(1, 1, width=7.6, height=5.6)
    _scatter(axis, points, labels, names, 14, 0.8)
    axis.set(title=title)
    _legend(axis, labels)
    return figure


def draw_thumbnails(
    views: Mapping[str, FLOAT32], labels: NDArray[np.int64], names: Sequence[str], title: str, images: UINT8
) -> Figure:
    """Draw the same samples in several maps side by side, with the images of those that do not hide each other.

    Args:
        views: N x 2 points, by the method of projection.
        labels: N class ids, -1 for none.
        names: of the classes.
        title: of the picture.
        images: N x S x S x C uint8.
    """
    figure, axes = new_figure(1, len(views), width=6.2 * len(views) + 1.2, height=6.2)
    for axis, (name, points) in zip(axes, views.items(), strict=True):
        _scatter(axis, points, labels, names, 10, 0.9)
        _place_images(axis, points, labels, images)
        axis.set_title(name, loc="left", fontsize=SMALL + 1)
    _legend(axes[-1], labels)
    figure.suptitle(title, fontsize=11)
    return figure


def _colours(labels: NDArray[np.int64]) -> dict[int, Any]:
    """Return colour and mark of each class that is there."""
    from matplotlib import colormaps

    there = np.unique(labels).tolist()
    colours = colormaps["tab10" if len(there) <= 10 else "tab20"]
    places = {label: divmod(place, colours.N) for place, label in enumerate(there)}
    return {label: (colours(colour), "os^Dv"[turn % 5]) for label, (turn, colour) in places.items()}


def _scatter(
    axis: Axes, points: FLOAT32, labels: NDArray[np.int64], names: Sequence[str], size: float, alpha: float
) -> None:
    for label, (colour, mark) in _colours(labels).items():
        own = points[labels == label]
        style: Any = {"s": size, "color": colour, "marker": mark, "linewidths": 0, "alpha": alpha}
        axis.scatter(own[:, 0], own[:, 1], label=plain(names[label], 20) if label >= 0 else "no class", **style)
    axis.set(xticks=[], yticks=[])


def _legend(axis: Axes, labels: NDArray[np.int64]) -> None:
    there = len(np.unique(labels))
    if there <= _NAMED:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=SMALL, frameon=False, ncols=1 + there // 25)


def _place_images(axis: Axes, points: FLOAT32, labels: NDArray[np.int64], images: UINT8) -> None:
    """Put images on their points, framed in their colours, but none nearer than its size to one that is there."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    low, high = points.min(0), points.max(0)
    scaled = (points - low) / np.maximum(high - low, 1e-9)
    colours = _colours(labels)
    placed: list[int] = []
    for number, point in enumerate(scaled):
        if any(np.abs(scaled[other] - point).max() < _APART for other in placed):
            continue
        placed.append(number)
        picture = np.broadcast_to(images[number], (*images.shape[1:3], 3))
        image = OffsetImage(picture, zoom=_THUMBNAIL / images.shape[1], interpolation="nearest")
        frame = {"edgecolor": colours[int(labels[number])][0], "linewidth": 1.6}
        axis.add_artist(AnnotationBbox(image, tuple(points[number]), pad=0.08, bboxprops=frame))
