"""Trains a model on what a detector found: its crops instead of whole images (docs/chains.md)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from sightline.config.crop_by import CropBy
from sightline.config.models import Model
from sightline.data.cache import decoded
from sightline.data.crops.cropper import Cropper
from sightline.data.crops.store import write_crops
from sightline.data.store import SplitStore
from sightline.data.structures import Prediction
from sightline.system.errors import UserError
from sightline.system.files import new_folder, work_folder
from sightline.training.artifact.detector import add_detector, cropper_by
from sightline.training.artifact.folder import read_model
from sightline.training.fit import Fitted
from sightline.training.loop import device_type

CROPS = Path(".sightline/crops")
Learn = Callable[[Path, Path], Fitted]  # folder of prepared data, model directory to write


def train_chain(
    crop: CropBy, config: Model, prepared: Path, output: Path, models: Path, learn: Learn, crops: Path = CROPS
) -> Fitted:
    """Crop the data of a model, train it, and write its directory with the detector in it, as a whole.

    Args:
        crop: the section `crop_by` of the model.
        config: the model's section.
        prepared: folder of the prepared data set, of whole images.
        output: the model directory to write.
        models: where the detector is looked up.
        learn: trains on prepared data.
        crops: where the cropped data are while it runs.

    Raises:
        UserError: no detector there, without a class that was asked for, or what `learn` raises.
    """
    with cropped_data(crop, config, prepared, models, crops) as cropped, work_folder(crops) as work:
        fitted = learn(cropped, work / output.name)
        if not fitted.main:
            return fitted
        card = add_detector(work / output.name, models / crop.model, crop)
        with new_folder(output) as folder:
            shutil.copytree(work / output.name, folder, dirs_exist_ok=True)
        return replace(fitted, card=card)


@contextmanager
def cropped_data(
    crop: CropBy, config: Model, prepared: Path, models: Path = Path("models"), crops: Path = CROPS
) -> Iterator[Path]:
    """Yield a folder with the training and validation split of a data set, cropped, that is gone afterwards.

    The arguments are those of `train_chain`.

    Raises:
        UserError: no detector there, or without a class that was asked for.
    """
    cropper = _detector(models / crop.model, crop, config)
    with work_folder(crops) as work:
        shutil.copyfile(prepared / "labels.json", work / "labels.json")
        for split in ("train", "val"):
            store = SplitStore(prepared / split)
            missed = write_crops(store, cropper, config.input.channels, work / split)
            told = f", {missed} without a box are whole" if missed else ""
            print(f"{split}: {len(store)} images cropped by {crop.model}{told}")
        yield work


@contextmanager
def data_to_learn(config: Model, prepared: Path, models: Path = Path("models")) -> Iterator[Path]:
    """Yield the folder of the data that a model learns from: cropped, where it sees crops."""
    match config.crop_by:
        case CropBy() as crop:
            with cropped_data(crop, config, prepared, models) as cropped:
                yield cropped
        case _:
            yield prepared


def _detector(folder: Path, crop: CropBy, config: Model) -> Cropper:
    """Read a detector, and let it find boxes on the device of the training."""
    if not (folder / "model.json").is_file():
        raise UserError(f"crop_by.model: {crop.model}: no model in {folder}; train it first, with dvc repro")
    task, card = read_model(folder)
    device = "cuda" if device_type(config.trainer.accelerator) == "cuda" else "cpu"
    image = card.input
    task.to(device)
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)

    def find(images: Sequence[bytes | memoryview]) -> list[Prediction]:
        pixels, placements = decoded(images, image.size, image.channels, image.resize, image.interpolation)
        with torch.inference_mode():
            return task.predictions(task(torch.from_numpy(pixels).to(device)), placements)

    return cropper_by(find, card.labels, crop, folder)
