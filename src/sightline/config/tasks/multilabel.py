"""`task: {kind: multilabel}`: any number of classes per image."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightline.config.network import VIEWS, Network, Views


class Multilabel(Network):
    """Any number of classes per image, each by a separate logistic unit."""

    mixes_labels: ClassVar[bool] = True
    mirrored_by_recipe: ClassVar[bool] = True
    takes_crops: ClassVar[bool] = True
    kind: Literal["multilabel"]
    views: Views = Field("one", description=VIEWS)
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: the presence of a class counts as much as its absence, however rare the class is"
    )
