"""`monitor:` which data sets are watched for drift, by the name of the data set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field, model_validator

from sightline.config.base import PositiveInt, Section
from sightline.config.features import Features
from sightline.system.errors import nearest

# The most hypotheses of one check: the embedding twice, nine image statistics, three of predictions.
MOST_TESTS = 14


class Monitor(Section):
    """Recent images are compared with the validation split; off without this section."""

    recent: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="folder of recent images; null: data/inbox/DATASET, or the newest batch of the data set"
    )
    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(@[a-z]+|/[0-9]+)?$")] | None = Field(
        None, description="NAME (models/NAME), NAME@champion or NAME/3: whose features and predictions are compared"
    )
    features: str | None = Field(None, description="an entry of features, instead of a model; null: hand-made features")
    alpha: Annotated[float, Field(gt=0, le=0.2)] = Field(
        0.01, description="probability that a check reports drift when there is none, over all its tests"
    )
    flag_after: PositiveInt = Field(2, description="checks in a row that find drift before the data set is drifting")
    clear_after: PositiveInt = Field(2, description="checks in a row without drift before the verdict is cleared")
    min_samples: Annotated[int, Field(ge=10)] = Field(50, description="fewest recent images for a verdict")
    max_samples: Annotated[int, Field(ge=10, le=5000)] = Field(
        500, description="most images from each side, drawn at random"
    )
    permutations: Annotated[int, Field(ge=99, le=1_000_000)] = Field(
        1999, description="permutations of the kernel test"
    )

    @model_validator(mode="after")
    def _one_extractor(self) -> Monitor:
        if self.model is not None and self.features is not None:
            raise ValueError("has both model and features; keep one")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Monitor:
        if self.max_samples < self.min_samples:
            raise ValueError(f"max_samples ({self.max_samples}) must not be less than min_samples ({self.min_samples})")
        needed = int(MOST_TESTS / self.alpha)
        if self.permutations < needed:
            raise ValueError(
                f"permutations: {self.permutations}: with alpha {self.alpha:g} the kernel test could never find drift; "
                f"use {needed} or more"
            )
        return self


def find_monitor_mistakes(
    datasets: Collection[str],
    learners: Mapping[str, str],
    features: Mapping[str, Features],
    monitor: Mapping[str, Monitor],
) -> list[str]:
    """Return one line per entry that names what is not there; without the file's name.

    Args:
        datasets: their names.
        learners: the data set of each model and head.
        features: the entries.
        monitor: the section.
    """
    told = []
    for name, section in monitor.items():
        if name not in datasets:
            near = nearest(name, datasets, otherwise=f" ({', '.join(datasets)})")
            told.append(f"monitor.{name}: not among datasets{near}")
            continue
        if section.model is not None:
            model = section.model.split("@")[0].split("/")[0]
            if model not in learners:
                near = nearest(model, learners, otherwise=f" ({', '.join(learners)})")
                told.append(f"monitor.{name}.model: {model!r} is not among models and heads{near}")
        if section.features is not None and section.features not in features:
            near = nearest(section.features, features, otherwise=f" ({', '.join(features) or 'there are none'})")
            told.append(f"monitor.{name}.features: {section.features!r} is not among features{near}")
    return told
