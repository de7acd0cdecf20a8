"""`weights:` what a network begins with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sightline.config.base import Name, Section
from sightline.config.published import published_inputs

ENDINGS = (".safetensors", ".pth", ".pt", ".th")
MIRROR = "SIGHTLINE_WEIGHTS"  # the variable that names a mirror of the hub: a folder, or an address
_OLD_PATH = re.compile(r"(?:\.\./)+models/([^/]+)/weights\.safetensors")
_LIBRARIES = ("timm", "torchvision")
# What the networks are told apart by that are called the same in both libraries, and have other parts. Files begin with
# the names of the parts, whatever their format.
_HEAD = 1 << 20  # bytes
_PARTS = {
    "timm": (b"conv_stem.weight", b"stem.0.weight", b"pre_logits.fc1.weight"),
    "torchvision": (b"features.0.0.weight", b"classifier.0.weight"),
}


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
    """Return the file that holds the weights; None if they are random, or have to be fetched.

    `pretrained` is a file named after the network where there is one, in `folder` or in an own mirror of the hub: the
    folder that the variable SIGHTLINE_WEIGHTS names. Nothing is fetched here, from a mirror with an address neither.

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
            mirror = os.environ.get(MIRROR, "")
            folders = [folder, *([Path(mirror)] if mirror and not is_address(mirror) else [])]
            files = (available_file((network or "").rpartition(":")[2], place) for place in folders)
            return next((file for file in files if file), None)
        case _:
            return folder / weights


def is_address(mirror: str) -> bool:
    """Return whether a mirror is an address, not a folder."""
    return mirror.lower().startswith(("http://", "https://"))


def available_file(name: str, folder: Path) -> Path | None:
    """Return the file of weights in a folder that has a network's name, as in `resnet18`."""
    return next((file for ending in ENDINGS if (file := folder / f"{name}{ending}").is_file()), None)


def available_networks(folder: Path) -> dict[str, Path]:
    """Return the networks, as in `timm:resnet18`, that have weights in a folder, with their files, by file name.

    A file belongs to the network that it is named after: `resnet18.pth`, or `resnet18.a1_in1k.safetensors` for a
    variant of timm's. Where both libraries call a network so, the names of its parts decide, and if these are the same
    too, the file is for both. No file is loaded, and no library imported.

    Args:
        folder: `data/weights` of a project, or a mirror; it need not exist.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in ENDINGS and available_file(path.stem, folder) == path:
            found |= dict.fromkeys(_fitting(path), path)
    return found


def networks_called(name: str) -> list[str]:
    """Return the networks of timm and torchvision with a name, as in `resnet18`."""
    known = published_inputs()
    tagged = [f"timm:{name}"] if f"timm:{name.partition('.')[0]}" in known else []
    return tagged + ([f"torchvision:{name}"] if f"torchvision:{name}" in known else [])


def _fitting(path: Path) -> list[str]:
    """Return the networks that a file of weights is for."""
    called = networks_called(path.stem)
    if len(called) < len(_LIBRARIES):
        return called
    with path.open("rb") as file:
        head = file.read(_HEAD)
    fitting = [network for network in called if any(part in head for part in _PARTS[network.partition(":")[0]])]
    return fitting or called
