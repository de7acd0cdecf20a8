"""`weights:` what a network begins with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sightline.config.base import Name, Section

ENDINGS = (".safetensors", ".pth", ".pt", ".th")
_OLD_PATH = re.compile(r"(?:\.\./)+models/([^/]+)/weights\.safetensors")


class OwnModel(Section):
    """The weights of another model of this file, which is trained first."""

    model: Name = Field(description="name of the model")


def _not_by_path(value: Any) -> Any:
    if isinstance(value, str) and (old := _OLD_PATH.fullmatch(value)):
        raise ValueError(f"{value}: to use a model of this file, write {{model: {old[1]}}}")
    return value


_File = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$")]
Weights = Annotated[_File | OwnModel, BeforeValidator(_not_by_path)]
MEANING = "random, pretrained (data/weights, otherwise the hub), a file in data/weights, or {model: NAME} of this file"


def file_of(weights: Weights, network: str | None, folder: Path) -> Path | None:
    """Return the file that holds the weights; None if they are random, or have to be fetched from the hub.

    `pretrained` is a file named after the network where there is one, in `folder` or in an own mirror of the hub: the
    folder that the variable SIGHTLINE_WEIGHTS names.

    Args:
        weights: a section's value.
        network: as in `timm:resnet18`; None if the weights are those of a model of this project.
        folder: `data/weights` of a project; its `models` is looked up from there.
    """
    match weights:
        case OwnModel():
            return folder.parent.parent / "models" / weights.model / "weights.safetensors"
        case "random":
            return None
        case "pretrained":
            name = (network or "").rpartition(":")[2]
            mirror = os.environ.get("SIGHTLINE_WEIGHTS")
            folders = [folder, *([Path(mirror)] if mirror else [])]
            files = (place / f"{name}{ending}" for place in folders for ending in ENDINGS)
            return next((file for file in files if file.is_file()), None)
        case _:
            return folder / weights
