"""`task: {kind: regression}`: K numbers per image."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightline.config.base import Positive
from sightline.config.network import VIEWS, Network, Views


class Regression(Network):
    """K numbers per image, e.g. a score per emotion; learned in units of each number's standard deviation."""

    takes_crops: ClassVar[bool] = True
    kind: Literal["regression"]
    views: Views = Field("one", description=VIEWS)
    loss: Literal["mse", "mae", "huber"] = Field("mse", description="huber: squared up to delta, linear above")
    delta: Positive = Field(1.0, description="threshold of huber, in standard deviations; larger errors count linearly")
