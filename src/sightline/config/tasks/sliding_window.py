"""`task: {kind: sliding_window}`: any number of boxes per image, found by a classifier that looks through a window."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sightline.config.base import Fraction, Positive, PositiveInt
from sightline.config.network import ARCHITECTURE, Network, Views

_Step = Annotated[float, Field(gt=0, lt=1)]


class SlidingWindow(Network):
    """Any number of square boxes per image: a classifier of K classes and background looks at each window."""

    spatial: ClassVar[bool] = True
    finds_boxes: ClassVar[bool] = True
    takes_published_size: ClassVar[bool] = False
    kind: Literal["sliding_window"]
    architecture: str = Field(
        "mnist_cnn", pattern=ARCHITECTURE, description="of the classifier; its windows are small, so it may be too"
    )
    views: Views = Field("one", description="mirror: looks through all windows of the mirror image too")
    window: Annotated[int, Field(ge=8, le=512)] = Field(32, description="side of the classifier's window, pixels")
    stride: PositiveInt = Field(8, description="distance between windows, pixels of the scaled image")
    scales: Annotated[list[Positive], Field(min_length=1, max_length=20)] | None = Field(
        None, description="scales of the image that windows are taken from; above 1 for objects smaller than `window`"
    )
    scale_step: _Step = Field(0.75, description="without `scales`: factor between scales, starting at 1")
    score_threshold: Fraction = Field(0.05, description="objects with a lower confidence are discarded")
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.3, description="of two objects of a class with a larger IoU, only the more confident one is kept"
    )
    max_objects: PositiveInt = Field(100, description="per image")

    def windows(self) -> dict[str, Any]:
        """Return where and how windows are placed as keyword arguments of `models.sliding_window.WindowGrid`."""
        return {name: getattr(self, name) for name in ("window", "stride", "scales", "scale_step")}
