"""Heat maps of image files that belong to no data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightline.data.cache import counted
from sightline.data.image_formats import require_whole
from sightline.data.images import decode
from sightline.evaluation.explain.heat_pictures import Subject, heat_pictures
from sightline.evaluation.explain.layers import map_layers
from sightline.evaluation.explain.making import HEAT_METHODS, chosen_methods
from sightline.evaluation.explain.picture import Picture, write_pictures
from sightline.evaluation.explain.targets import require_targets
from sightline.evaluation.predictor import load_network
from sightline.system.device import chosen_device
from sightline.system.errors import UserError
from sightline.system.files import new_folder
from sightline.training.heads.artifact import holds_head

MOST = 64  # images on a sheet


def explain_images(model: Path, files: Sequence[Path], out: Path, seed: int = 0) -> list[Picture]:
    """Write a sheet of heat maps per method, and `explanations.json`, into a new folder.

    Args:
        model: the model directory, of a network.
        files: images.
        out: folder to make; what is in it is replaced only if it holds nothing but explanations.
        seed: of random weights and orders.

    Raises:
        UserError: no network there, a file that is not an image, too many files, or a folder with other things in it.
    """
    if len(files) > MOST:
        raise UserError(f"{len(files)} images: a sheet has room for {MOST}; give fewer")
    if out.exists() and not (out.is_dir() and all(_made_here(path) for path in out.iterdir())):
        raise UserError(f"--out: {out}: is not empty; give a new folder")
    if holds_head(model):
        raise UserError(f"{model}: is a head over features, and only networks can be explained; give a network")
    predictor = load_network(model, chosen_device(), "torch")
    if predictor.sight.tiling is not None:
        raise UserError(f"{model}: sees tiles (`tiling`), and heat maps are of whole images")
    task = predictor.task
    require_targets(task)
    encoded = [_read(file) for file in files]
    for file, content in zip(files, encoded, strict=True):
        try:
            require_whole(content)
            decode(content, predictor.card.input.channels)
        except ValueError as error:
            raise UserError(f"{file}: {error}; give JPEG or PNG files") from None
    pixels = np.asarray(predictor.seen(encoded)[0])  # of one size, as nothing is tiled
    methods = chosen_methods(task, map_layers(task, pixels), None)
    heat = [method for method in HEAT_METHODS if method in methods]
    with counted(len(heat), f"explaining {model.name}") as advance:
        pictures = heat_pictures(Subject(task, model.name, pixels, [None] * len(files), None, seed), heat, advance)
    with new_folder(out) as work:
        write_pictures(pictures, work)
    return pictures


def _made_here(path: Path) -> bool:
    return path.name == "explanations.json" or path.stem in HEAT_METHODS


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give an image file") from None
