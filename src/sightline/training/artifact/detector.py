"""The detector in the directory of a model that sees crops: its own model directory, in a folder inside."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from sightline.config.crop_by import CropBy
from sightline.data.crops.cropper import Cropper, Find
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError, nearest
from sightline.system.files import write_json
from sightline.training.artifact.folder import ModelCard, read_card

DETECTOR = "detector"


def add_detector(folder: Path, detector: Path, crop: CropBy) -> ModelCard:
    """Copy a detector into the directory of a model that learned from its crops; return the model's card, rewritten.

    Args:
        folder: of the model, which nobody reads yet.
        detector: its model directory.
        crop: the section that names it.
    """
    shutil.copytree(detector, folder / DETECTOR)
    card = replace(read_card(folder), crop_by=crop, detector_sha256=_sha256(folder / DETECTOR))
    write_json(folder / "model.json", card.to_json())
    return card


def require_detector(folder: Path, card: ModelCard) -> Path:
    """Return the folder of the detector in a model directory; its `model.json` holds the hashes of its files.

    Raises:
        UserError: it is not there, or not the card's.
    """
    inner = folder / DETECTOR
    if not (inner / "model.json").is_file():
        raise UserError(f"{inner}: missing; restore it with dvc checkout")
    if _sha256(inner) != card.detector_sha256:
        raise UserError(f"{inner}: does not match model.json (different hash); restore it with dvc checkout")
    return inner


def cropper_by(find: Find, labels: LabelMap, crop: CropBy, detector: Path) -> Cropper:
    """Return what crops images to the boxes of a detector.

    Args:
        find: its boxes for encoded images.
        labels: its classes.
        crop: the section `crop_by`.
        detector: its folder, for messages.

    Raises:
        UserError: it has no class of a name that the section gives.
    """
    names = labels.classes if crop.classes == "any" else crop.classes
    for name in names:
        if name not in labels.classes:
            near = nearest(name, labels.classes, otherwise=f" ({', '.join(labels.classes)})")
            raise UserError(f"crop_by.classes: {name!r} is not among the classes of {detector}{near}")
    wanted = [labels.classes.index(name) for name in names]
    return Cropper(find, labels.classes, frozenset(wanted), crop.margin, crop.least_score, crop.otherwise == "refuse")


def _sha256(detector: Path) -> str:
    return hashlib.sha256((detector / "model.json").read_bytes()).hexdigest()
