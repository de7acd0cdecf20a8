"""`task: {kind: detection}`: any number of boxes per image, each with a class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.config.base import Positive, PositiveInt
from sightline.config.detector import Detector
from sightline.config.network import VIEWS, Views


class Detection(Detector):
    """Any number of boxes per image, each with a class."""

    kind: Literal["detection"]
    views: Views = Field("one", description=VIEWS)
    architecture: Literal["fcos", "retinanet", "faster_rcnn"] = Field(
        "fcos", description="fcos, retinanet: one stage; faster_rcnn: two stages, proposals and their classification"
    )
    boxes: Literal["upright", "oriented"] = Field(
        "upright", description="oriented: turned rectangles, learned from the corners of a data set; fcos only"
    )
    anchor_scale: Positive | None = Field(
        None, description="side of the smallest anchors, in strides; null: 4 for retinanet, 8 for faster_rcnn"
    )
    proposals: PositiveInt | None = Field(None, description="proposals of faster_rcnn per image; null: 200")

    @model_validator(mode="after")
    def _options_fit(self) -> Detection:
        if self.boxes == "oriented" and self.architecture != "fcos":
            raise ValueError(f"boxes: oriented is for fcos, but architecture is {self.architecture}")
        if self.anchor_scale is not None and self.architecture == "fcos":
            raise ValueError("anchor_scale is for retinanet and faster_rcnn, but architecture is fcos")
        if self.proposals is not None and self.architecture != "faster_rcnn":
            raise ValueError(f"proposals is for faster_rcnn, but architecture is {self.architecture}")
        return self

    def coarsest_stride(self) -> int:
        """Return that of the pyramid's last map; boxes of two stages are not bound to its points."""
        return 1 if self.architecture == "faster_rcnn" else self.strides[-1]
