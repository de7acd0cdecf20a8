"""`export:` what is made of a trained network for its deployment, by the name of a model.

It is no key of the model's own section, since a change there trains the model again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import Field

from sightline.config.base import Section
from sightline.config.evaluation import Budget
from sightline.config.models import Model
from sightline.system.errors import nearest


class Export(Section):
    """Further files of one model."""

    int8: bool = Field(False, description="whether model.onnx is also made in 8-bit integers, as model.int8.onnx")
    max_loss: Annotated[float, Field(ge=0, le=1e9)] = Field(
        0.01,
        description="largest loss of the headline metric on validation, in its unit, that the interval of the int8 "
        "network's loss may reach; otherwise it is not released",
    )
    calibration_images: Annotated[int, Field(ge=8, le=4096)] = Field(
        128, description="training images from which the ranges of activations are measured"
    )


def find_export_mistakes(
    models: Mapping[str, Model], heads: Collection[str], export: Mapping[str, Export]
) -> list[str]:
    """Return one line per entry that names no model, or one without a single graph; without the file's name."""
    told = []
    for name, section in export.items():
        if name in heads:
            told.append(f"export.{name}: a head is no network, so it has no graph; name one of models")
        elif name not in models:
            near = nearest(name, models, otherwise=f" ({', '.join(models)})")
            told.append(f"export.{name}: not among models{near}")
        elif section.int8 and models[name].task.kind == "style_network":
            told.append(
                f"export.{name}.int8: a style network has a second input, its mix of styles, which is not quantised; "
                "leave int8 out"
            )
    return told


def find_engine_mistakes(
    heads: Collection[str], export: Mapping[str, Export], budget: Mapping[str, Budget]
) -> Iterator[str]:
    """Yield a line per budget of a file that is never made, which no model could keep; without the file's name."""
    for name, section in budget.items():
        path, made = f"gate.budget.{name}.engine", name in export and export[name].int8
        if name in heads and section.engine in ("onnx", "int8"):
            yield f"{path}: {section.engine} runs networks, and a head is none; write auto or torch"
        elif section.engine == "int8" and not made:
            yield f"{path}: int8 is not made of {name}; set export.{name}.int8 to true, or write another engine"
