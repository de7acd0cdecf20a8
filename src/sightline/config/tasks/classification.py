"""`task: {kind: classification}`: one class per image."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.base import Probability
from sightline.config.network import VIEWS, Network, Views


class Classification(Network):
    """One class per image."""

    one_class_per_image: ClassVar[bool] = True
    mixes_labels: ClassVar[bool] = True
    mirrored_by_recipe: ClassVar[bool] = True
    losses_of_mixed_labels: ClassVar[tuple[str, ...]] = ("cross_entropy",)
    takes_crops: ClassVar[bool] = True
    kind: Literal["classification"]
    loss: Literal["cross_entropy", "hinge", "perceptron", "hebb"] = Field(
        "cross_entropy",
        description="hinge: a margin of 1; perceptron, hebb: for single neurons with the rule of that name",
    )
    label_smoothing: Probability = Field(0.0, description="share of each label spread over all classes")
    views: Views = Field("one", description=VIEWS)
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: every class has the same weight, regardless of its number of samples"
    )

    @model_validator(mode="after")
    def _loss_fits(self) -> Classification:
        if self.loss != "cross_entropy":
            if self.label_smoothing:
                raise ValueError(f"label_smoothing needs loss: cross_entropy, but loss is {self.loss}")
            if self.class_weights != "none":
                raise ValueError(f"class_weights needs loss: cross_entropy, but loss is {self.loss}")
        if self.loss in ("perceptron", "hebb") and self.architecture not in ("neuron", "perceptron"):
            raise ValueError(f"loss: {self.loss} trains a single layer: architecture must be neuron or perceptron")
        return self
