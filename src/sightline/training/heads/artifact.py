"""The directory of a head: `model.json`, what was fitted, and the extractor; nothing in it is unpickled."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sightline.config.models import Input
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError, first_line
from sightline.system.files import new_folder, read_json, write_json
from sightline.training.features.store import EXTRACTOR

FORMAT_VERSION = 1
FILES = {"classification": "head.skops", "anomaly": "head.safetensors"}  # what was fitted, by the kind of task


@dataclass(frozen=True)
class HeadCard:
    """What `model.json` of a head says.

    Attributes:
        kind: of the head.
        layers: of the features that are joined.
        settings: of the head's section that decide its result, and what was chosen.
        input: what the extractor sees.
        labels: the classes.
        data_sha256: of the train samples and the label map.
        task: kind of what it does.
        weights_sha256: of the file of what was fitted, and of the extractor's.
    """

    kind: str
    layers: list[str]
    settings: dict[str, Any]
    input: Input
    labels: LabelMap
    data_sha256: str
    task: str = "classification"
    weights_sha256: str = ""

    @property
    def file(self) -> str:
        """Name of the file of what was fitted."""
        return FILES[self.task]

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        return {
            "format_version": FORMAT_VERSION,
            "task": {"kind": self.task},
            "head": {"kind": self.kind, "layers": self.layers, "settings": self.settings},
            "input": self.input.to_json(),
            "labels": self.labels.to_json(),
            "data_sha256": self.data_sha256,
            "weights_sha256": self.weights_sha256,
        }


def write_head(folder: Path, content: bytes, extractor: Path, card: HeadCard) -> HeadCard:
    """Write the directory of a head, in place of an earlier one; return the card with the hash of its files.

    Args:
        folder: to write.
        content: of the file of what was fitted.
        extractor: the folder of its extractor, which is copied.
        card: what it is.
    """
    with new_folder(folder) as work:
        shutil.copytree(extractor, work / EXTRACTOR)
        (work / card.file).write_bytes(content)
        card = HeadCard(**{**card.__dict__, "weights_sha256": _files_sha256(work, card.file)})
        write_json(work / "model.json", card.to_json())
    return card


def holds_head(folder: Path) -> bool:
    """Return whether a model directory is that of a head."""
    try:
        return "head" in read_json(folder / "model.json")
    except (OSError, ValueError, TypeError):
        return False  # the reader of networks reports what is wrong


def read_head_card(folder: Path) -> HeadCard:
    """Read `model.json` of a head, checking the files next to it against their hash.

    Raises:
        UserError: damaged, or files that are not the card's.
    """
    path = folder / "model.json"
    try:
        values = read_json(path)
        if values["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"{path}: format {values['format_version']}, this version reads {FORMAT_VERSION}; fit again"
            )
        head = values["head"]
        card = HeadCard(
            head["kind"],
            head["layers"],
            head["settings"],
            Input.model_validate(values["input"]),
            LabelMap.from_json(values["labels"]),
            values["data_sha256"],
            values["task"]["kind"],
            values["weights_sha256"],
        )
        file = card.file
    except (ValidationError, KeyError, TypeError, ValueError, OSError) as error:
        first = first_line(error)
        raise UserError(f"{path}: damaged or changed by hand ({first}); restore it with dvc checkout") from None
    for path in (folder / file, folder / EXTRACTOR):
        if not path.exists():
            raise UserError(f"{path}: missing; restore it with dvc checkout")
    if _files_sha256(folder, file) != card.weights_sha256:
        raise UserError(f"{folder}: its files do not match model.json (different hash); restore it with dvc checkout")
    return card


def _files_sha256(folder: Path, file: str) -> str:
    """Return a hash of all that predicts: what was fitted and the extractor's files, by name and content."""
    paths = [folder / file, *sorted((folder / EXTRACTOR).iterdir())]
    hashes = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
