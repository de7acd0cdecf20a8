"""`heads:` that learn what good images look like, and find what does not: memories and Gaussians of places."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sightline.config.base import PositiveInt, Section
from sightline.config.dataset_section import Text

_Share = Annotated[float, Field(gt=0, le=1)]


class HeadSection(Section):
    """What every head has."""

    task: ClassVar[str] = "classification"  # kind of what it does

    dataset: str = Field(description="the data set of its features")
    features: str = Field(description="a key of features")
    layers: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="which of the embedded layers to use; several are concatenated; null: all"
    )


class _Anomaly(HeadSection):
    """What every head of this kind has: it learns from the good images of train, and nothing from the others."""

    task: ClassVar[str] = "anomaly"

    good: Text = Field("good", description="the class of images without a defect")
    false_alarms: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.05, description="share of good images that may be called defective; sets the threshold on good images of val"
    )
    neighbourhood: Literal[1, 3, 5, 7, 9] = Field(
        3, description="places along each side over which features are averaged before use; 1: not averaged"
    )
    standardize: bool = Field(
        True, description="scale each channel to mean 0 and standard deviation 1 on the places of good train images"
    )
    blur: Annotated[float, Field(ge=0, le=64)] = Field(
        4.0, description="standard deviation of the Gaussian that smooths heat maps, pixels of the input; 0: none"
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(None, description="null: the top-level seed")


class PatchCore(_Anomaly):
    """Distance to the nearest of a few thousand features of good images (Roth et al. 2022)."""

    kind: Literal["patch_core"]
    standardize: bool = Field(
        False, description="scale each channel to mean 0 and standard deviation 1 on the places of good train images"
    )
    coreset: _Share = Field(0.1, description="share of the places of good train images that are kept in memory")
    candidates: Annotated[int, Field(ge=100, le=500_000)] = Field(
        30_000, description="places of good train images that the memory is chosen from, as many of each image"
    )
    neighbours: PositiveInt = Field(
        9, description="places in memory around the nearest one by which an image's score is weighted; 1: not weighted"
    )


class Padim(_Anomaly):
    """Distance from the Gaussian of each place, for images of one scene (Defard et al. 2021)."""

    kind: Literal["padim"]
    channels: Annotated[int, Field(ge=2, le=1000)] = Field(
        100, description="channels that are used, drawn at random; all, if there are fewer"
    )
    shrinkage: Annotated[float, Field(gt=0, le=10)] = Field(
        0.01, description="added to each variance, so that few images suffice"
    )


AnomalyHead = PatchCore | Padim
