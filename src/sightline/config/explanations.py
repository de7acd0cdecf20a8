"""`explanations:` pictures of what a network sees, by the name of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from sightline.config.base import PositiveInt, Section
from sightline.config.models import Model
from sightline.system.errors import nearest

ExplainMethod = Literal[
    "filters",
    "activations",
    "patches",
    "visualisation",
    "neighbours",
    "grad_cam",
    "occlusion",
    "integrated_gradients",
]


class Explanation(Section):
    """What is made of one model, from images of the test split."""

    dataset: str = Field(description="the data set of the model")
    methods: Annotated[list[ExplainMethod], Field(min_length=1)] | None = Field(
        None, description="null: every kind that the network supports"
    )
    samples: Annotated[int, Field(ge=1, le=32)] = Field(8, description="number of images with heat maps")
    images: Annotated[int, Field(ge=16, le=10_000)] = Field(
        128,
        description="number of images whose activations are used: for patches, silent channels and the map of images",
    )
    layers: Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="layers for activations, as `sightline summary` names them; null: the last layer of each map size",
    )
    heat_layer: str | None = Field(None, description="layer for grad_cam; null: the last with a map of 7 x 7 or more")
    ascent_steps: PositiveInt = Field(40, description="optimisation steps for the images that excite a channel")


def find_explanation_mistakes(models: Mapping[str, Model], explanations: Mapping[str, Explanation]) -> list[str]:
    """Return one line per entry that names no model, or not its data set; without the file's name."""
    told = []
    for name, section in explanations.items():
        if name not in models:
            near = nearest(name, models, otherwise=f" ({', '.join(models)})")
            told.append(f"explanations.{name}: not among models{near}; only networks can be explained, not heads")
        elif models[name].tiling is not None:
            told.append(f"explanations.{name}: the model sees tiles, and explanations are of whole images; remove it")
        elif models[name].input.width is not None:
            told.append(
                f"explanations.{name}: explains networks of square inputs, but models.{name}.input.width is "
                f"{models[name].input.width}; its evaluation shows where each character was read"
            )
        elif section.dataset != models[name].dataset:
            own = models[name].dataset
            told.append(
                f"explanations.{name}.dataset: {section.dataset!r}, but the model is trained on {own!r}; use that"
            )
    return told
