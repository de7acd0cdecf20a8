"""`task: {kind: keypoints}`: the pose of one person, or the named points of one object, per image."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightline.config.base import NETWORK, Positive, PositiveInt, TaskSection
from sightline.config.network import VIEWS, Views


class Keypoints(TaskSection):
    """The key points of one object per image, as peaks of heat maps; of several objects the largest is learned."""

    takes_crops: ClassVar[bool] = True
    spatial: ClassVar[bool] = True
    kind: Literal["keypoints"]
    views: Views = Field("one", description=VIEWS)
    backbone: str = Field(
        NETWORK, pattern=r"^(torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$", description="the name of a network"
    )
    backbone_stride: Literal[8, 16, 32] = Field(
        32, description="stride of the backbone's map that is used; later layers are dropped"
    )
    width: PositiveInt = Field(256, description="channels of the upsampling layers")
    stride: Literal[2, 4, 8] = Field(4, description="pixels of the input per cell of the heat maps")
    sigma: Positive = Field(2.0, description="standard deviation of the Gaussian at a point, in cells of the heat maps")

    def coarsest_stride(self) -> int:
        """Return that of the backbone's map."""
        return self.backbone_stride
