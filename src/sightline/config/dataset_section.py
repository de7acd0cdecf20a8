"""What `datasets:` says of a data set of any format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from sightline.config.base import Fraction, PositiveInt, Section

Text = Annotated[str, Field(min_length=1)]


class Split(Section):
    """How samples are divided; parts that the data set itself defines are kept as they are.

    A part that the data set does not define is taken out of its `train` samples, in the ratio of the fractions.
    """

    train: Fraction = Field(0.7, description="share that models learn from")
    val: Fraction = Field(0.15, description="share that chooses the epoch and thresholds")
    test: Fraction = Field(0.15, description="share that scores and the gate see")
    by: Literal["stratified", "hash", "order"] | None = Field(
        None,
        description="stratified: each class has its share in each part; hash: by the image alone, whatever the others "
        "are; order: first train, then val, test; null: stratified, but what was divided by hash before stays so",
    )
    salt: int = Field(0, description="another value gives another random division")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Split:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, got {total:g}")
        if self.train == 0:
            raise ValueError("train must be greater than 0")
        return self


class Checks(Section):
    """Limits of the preflight checks."""

    max_pixels: Annotated[int, Field(gt=0, le=178_956_970)] = Field(  # Pillow opens no larger ones
        50_000_000, description="larger images are refused before they are decoded"
    )
    min_samples_per_class: PositiveInt = Field(10, description="fewer samples of a class in all give a warning")
    near_duplicate_bits: Annotated[int, Field(ge=-1, le=16)] = Field(
        4, description="perceptual hashes (64 bit) that differ in at most so many bits are near-duplicates; -1: off"
    )


class DatasetSection(Section):
    """What every data set has, whatever its format."""

    root: str = Field(min_length=1, description="folder of the raw files; data/embedded for embedded sets")
    split: Split = Field(Split(), description="how samples are divided where the data set does not say")
    checks: Checks = Field(Checks(), description="limits of what is refused and warned of")
    on_bad_sample: Literal["fail", "quarantine"] = Field(
        "quarantine", description="fail: stop at bad samples and annotations; quarantine: leave them out and list them"
    )
    classes: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="keep only samples, boxes or pixels of these classes, in this order"
    )

    @field_validator("classes")
    @classmethod
    def _differ(cls, names: list[str] | None) -> list[str] | None:
        return different(names)


def different(names: list[str] | None) -> list[str] | None:
    """Return names that all differ.

    Raises:
        ValueError: one comes twice.
    """
    repeated = next((name for name in names or [] if (names or []).count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} comes twice; keep one of them")
    return names
