"""`datasets:` where images come from, how they are split and checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.base import Fraction, PositiveInt, Section


class Split(Section):
    """How samples are divided; parts that the data set itself defines are kept as they are.

    A part that the data set does not define is taken out of its `train` samples, in the ratio of the fractions.
    """

    train: Fraction = 0.7
    val: Fraction = 0.15
    test: Fraction = 0.15
    by: Literal["hash", "order"] = Field(
        "hash", description="hash: an image never changes its part when data grows; order: first train, then val, test"
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


class _Dataset(Section):
    root: str = Field(min_length=1, description="folder of the raw files; data/embedded for embedded sets")
    split: Split = Split()
    checks: Checks = Checks()
    on_bad_sample: Literal["fail", "quarantine"] = Field(
        "quarantine", description="fail: stop at bad samples; quarantine: leave them out and list them"
    )


class ImageFolder(_Dataset):
    """One folder per class, with or without train/, val/ and test/ above them."""

    format: Literal["image_folder"]


class CsvTable(_Dataset):
    """A table with the columns path and label, optionally split and group."""

    format: Literal["csv"]
    table: str = Field("labels.csv", min_length=1, description="the table, relative to root; its paths are too")


class Idx(_Dataset):
    """The IDX files of MNIST and its relatives, gzipped or not."""

    format: Literal["idx"]


class Digits(_Dataset):
    """scikit-learn's 1,797 scanned digits, 8 x 8."""

    format: Literal["digits"]


class Scenes(_Dataset):
    """Digits in random colours on crops of two photographs, every label known by construction."""

    format: Literal["scenes"]
    count: PositiveInt = 800
    size: Annotated[int, Field(ge=64, le=400)] = Field(96, description="pixels, both sides")
    max_objects: Annotated[int, Field(ge=1, le=8)] = 4
    seed: int = 0


Dataset = Annotated[ImageFolder | CsvTable | Idx | Digits | Scenes, Field(discriminator="format")]
