"""`task: {kind: localization}`: one class and one box per image."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.network import VIEWS, Network, Views

_Weight = Annotated[float, Field(ge=0)]


class Localization(Network):
    """One class and one box per image, from K + 4 outputs; of several objects the largest is learned."""

    spatial: ClassVar[bool] = True
    finds_boxes: ClassVar[bool] = True
    takes_published_size: ClassVar[bool] = False
    kind: Literal["localization"]
    views: Views = Field("one", description=VIEWS)
    class_weight: _Weight = Field(1.0, description="weight of the class's cross entropy in the loss")
    l1_weight: _Weight = Field(5.0, description="weight of the smooth L1 distance of x, y, width and height, in 0..1")
    giou_weight: _Weight = Field(2.0, description="weight of 1 - GIoU (generalised IoU)")

    @model_validator(mode="after")
    def _box_learned(self) -> Localization:
        if self.l1_weight == 0 and self.giou_weight == 0:
            raise ValueError("l1_weight and giou_weight are both 0, so boxes would not be learned; raise one of them")
        return self
