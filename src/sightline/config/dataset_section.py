"""What `datasets:` says of a data set of any format."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sightline.config.base import Fraction, PositiveInt, Section

Text = Annotated[str, Field(min_length=1)]


class Split(Section):
    """How samples are divided; parts that the data set itself defines are kept as they are.

    A part that the data set does not define is taken out of its `train` samples, in the ratio of the fractions.
    """

    train: Fraction = Field(0.7, description="share of images that models learn from")
    val: Fraction = Field(0.15, description="share of images that the epoch and thresholds are chosen on")
    test: Fraction = Field(0.15, description="share of images for scores and the gate")
    by: Literal["stratified", "hash", "order"] | None = Field(
        None,
        description="stratified: each class has the same share in each split; hash: by the image alone, regardless of "
        "the others; order: first train, then val, test; null: stratified, except for data sets that were "
        "divided by hash before",
    )
    salt: int = Field(0, description="a different value gives a different random division")

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
        50_000_000, description="larger images are rejected before they are decoded"
    )
    min_samples_per_class: PositiveInt = Field(10, description="a class with fewer samples in total gives a warning")
    near_duplicate_bits: Annotated[int, Field(ge=-1, le=16)] = Field(
        4,
        description="images are near-duplicates if their 64-bit perceptual hashes differ by at most this "
        "many bits; -1: off",
    )


class DatasetSection(Section):
    """What every data set has, regardless of its format."""

    good_alone_in_train: ClassVar[bool] = False  # whether other classes are only found, and not learned

    root: str = Field(min_length=1, description="folder of the raw files; data/embedded for the built-in sets")
    split: Split = Field(Split(), description="how samples are divided if the data set does not define splits")
    checks: Checks = Field(Checks(), description="limits for rejections and warnings")
    on_bad_sample: Literal["fail", "quarantine"] = Field(
        "quarantine", description="fail: stop at bad samples and annotations; quarantine: reject them and list them"
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
        raise ValueError(f"{repeated!r} occurs twice; keep one of them")
    return names
