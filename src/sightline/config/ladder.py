"""`models.*.ladder:` a training in steps, of which each has to be better than the one before."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.base import Section

Rung = Literal["head", "fine_tune", "soup", "distill"]
RUNGS: tuple[Rung, ...] = ("head", "fine_tune", "soup", "distill")


class Ladder(Section):
    """Trains in steps; what is not better on validation, by a paired test, is not kept (docs/recipes.md)."""

    rungs: Annotated[list[Rung], Field(min_length=1)] = Field(
        ["fine_tune", "soup"],
        description="in this order: head (a linear probe), fine_tune, soup (mean of the weights of several "
        "fine-tunings), distill (one network learns from all of them)",
    )
    seeds: Annotated[int, Field(ge=2, le=10)] = Field(3, description="fine-tunings for soup and distill")
    metric: str | None = Field(None, description="by which steps are compared; null: the kind's headline metric")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.95, description="of the interval of a gain, which must be above 0"
    )
    resamples: Annotated[int, Field(ge=200, le=100_000)] = Field(
        2000, description="of the validation images, for the intervals"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Ladder:
        if self.rungs != [rung for rung in RUNGS if rung in self.rungs]:
            raise ValueError(f"rungs: {self.rungs}: must be in the order {', '.join(RUNGS)}, each once")
        if "fine_tune" not in self.rungs and self.rungs != ["head"]:
            raise ValueError(f"rungs: {', '.join(self.rungs)}: soup and distill need fine_tune")
        return self
