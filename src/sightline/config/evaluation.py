"""`evaluation:` and `gate:` how models are measured, and when one replaces another."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.config.base import Fraction, PositiveInt, Section


class Evaluation(Section):
    """Intervals come from resampling the test images with replacement."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    calibration_bins: Annotated[int, Field(ge=2, le=100)] = 15
    batch_size: PositiveInt = 64
    slices: Literal["auto"] | list[Annotated[str, Field(min_length=1)]] = Field(
        "auto", description="columns by which the test images are divided, e.g. [photograph]; auto takes all that fit"
    )
    slices_file: Annotated[str, Field(pattern=r"^[^/\\\\]+\.csv$")] | None = Field(
        None, description="a CSV file in data/slices with a column id or source, and further ones to slice by"
    )


class Gate(Section):
    """A challenger becomes champion when the interval of its gain lies above `min_gain` and no class suffers."""

    min_gain: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="in the headline metric")
    max_class_drop: Fraction = Field(0.05, description="largest loss of recall allowed in any class")
    min_class_samples: PositiveInt = Field(20, description="classes with fewer test samples cannot veto")
    withdraw_batches: Literal["worse", "refused"] = Field(
        "worse",
        description="new batches are withdrawn when a model trained with them is measurably worse, or whenever it is "
        "refused, be it that the difference is within noise",
    )
