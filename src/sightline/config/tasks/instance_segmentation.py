"""`task: {kind: instance_segmentation}`: any number of objects per image, each with class, box and mask."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.config.base import Positive, PositiveInt
from sightline.config.detector import Detector


class InstanceSegmentation(Detector):
    """Any number of objects per image, each with class, box and mask."""

    kind: Literal["instance_segmentation"]
    architecture: Literal["mask_rcnn"] = Field("mask_rcnn", description="boxes first, then a mask in each")
    anchor_scale: Positive = Field(8.0, description="side of the anchors, in strides")
    proposals: PositiveInt = Field(200, description="proposals per image")
