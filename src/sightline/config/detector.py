"""What detectors of boxes and of instances share: a backbone, a feature pyramid, and which objects are kept."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from sightline.config.base import NETWORK, Fraction, PositiveInt, TaskSection


def _doubling(strides: list[int]) -> list[int]:
    if any(coarse != 2 * fine for fine, coarse in pairwise(strides)):
        raise ValueError(f"each stride must be twice the previous one, got {strides}, e.g. [4, 8, 16]")
    return strides


Width = Annotated[int, Field(ge=32, le=1024, multiple_of=32)]  # of a pyramid; heads normalise groups of channels
Strides = Annotated[list[PositiveInt], Field(min_length=1, max_length=7), AfterValidator(_doubling)]


class Detector(TaskSection):
    """A backbone with a feature pyramid."""

    spatial: ClassVar[bool] = True
    finds_boxes: ClassVar[bool] = True
    default_size: ClassVar[tuple[int, str]] = (320, "objects need more pixels than whole images")
    mixes_objects: ClassVar[bool] = True
    backbone: str = Field(
        NETWORK, pattern=r"^(torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$", description="torchvision:NAME or timm:NAME"
    )
    strides: Strides = Field(
        [8, 16, 32],
        description="input pixels per point of each map, each twice the previous one; small objects need 4",
    )
    width: Width = Field(64, description="channels of pyramid and heads; 256 in the papers")
    head_convs: Annotated[int, Field(ge=1, le=4)] = Field(
        2, description="convolutions of each head; in the papers 4, and 1 in the region proposal network"
    )
    score_threshold: Fraction = Field(0.05, description="objects with a lower confidence are discarded")
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="of two objects of a class with a larger IoU, only the more confident one is kept"
    )
    max_objects: PositiveInt = Field(100, description="per image")

    def options(self) -> dict[str, Any]:
        """Return the options as keyword arguments of the detectors in `models`."""
        return {name: getattr(self, name) for name in Detector.model_fields if name != "backbone"}
