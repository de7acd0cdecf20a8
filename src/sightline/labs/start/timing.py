"""How long stages will take, from twenty real steps on this machine.

Nothing of it decides the result of a stage: what is chosen by it is written into params.yaml as plain values.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric.utilities import move_data_to_device

from sightline.config.anomaly import Padim, PatchCore
from sightline.config.augmentations import Augmentation
from sightline.config.features import Features
from sightline.config.heads import AnyHead
from sightline.config.models import Model
from sightline.data.store import SplitStore, load_labels
from sightline.data.tiles import tiles_over
from sightline.labs.tuning.speed import wait_for
from sightline.labs.tuning.subject import Subject, open_subject
from sightline.labs.tuning.trial import autocast
from sightline.training.heads.anomaly.coreset import PROJECTED

STEPS = 20
_WARM_UP = 2
_PATIENCE = 30.0  # seconds after which fewer steps must do
_FEWEST = 4
_BATCHES_OF_FEATURES = 4
# Besides imports, steps and images: export to ONNX and its check, intervals, pictures, DVC's own seconds. Medians of
# what fourteen data sets took on two cores of an AMD EPYC.
_AROUND = {
    "train": 3.0,
    "evaluate": 3.0,
    "release": 0.2,
    "embed": 0.5,
    "fit_head": 1.0,
    "prepare": 0.2,
    "register": 3.5,
}
_LIGHT = ("prepare", "release", "register")  # import no torch
_FORWARDS = 2.0  # of each test image: evaluation, check of the ONNX file, pictures; measured likewise
# Seconds to fit a linear head, per sample, feature and class; measured on one core of an AMD EPYC. Vectors of length
# 1 make logistic regression easy.
_FIT = {"linear_svm": 1e-7, "logistic": 1e-8}
# Seconds per pair of places and channel, of a memory that is chosen one by one, and searched in; measured likewise.
_CHOOSING, _SEARCHING = 7e-11, 3e-11
_CURVE = 9  # times the train split that the fits of a learning curve take together
_CURVE_MOST = 12_500  # images of the train split from which on its fits take no more


@dataclass(frozen=True)
class StepTimes:
    """Of one model.

    Attributes:
        step: median seconds of a training step with its batch: decoded, augmented, forward, backward, update.
        image: seconds to predict and judge one image.
        opening: seconds to decode all images once and to build the network.
        batch: images per step.
        train, val, test: images of each split, or tiles that are seen of them; of test images all views.
    """

    step: float
    image: float
    opening: float
    batch: int
    train: int
    val: int
    test: float

    @property
    def epoch(self) -> float:
        """Seconds of one pass over the train split and one over the validation split."""
        return math.ceil(self.train / self.batch) * self.step + self.val * self.image


def time_steps(
    model: Model,
    seed: int,
    prepared: Path,
    weights: Path,
    augmentation: Augmentation | None = None,
    *,
    tested: bool = True,
) -> StepTimes:
    """Train twenty steps of a model, which is then forgotten, and predict some images.

    Args:
        model: its section.
        seed: of weights and order.
        prepared: folder of the prepared data set.
        weights: folder of files of weights.
        augmentation: the section that `augment` names, if any.
        tested: whether the images of the test split are counted; it is not opened otherwise.

    Raises:
        UserError: weights that cannot be had, or settings that do not fit.
    """
    began = time.perf_counter()
    subject = open_subject(model, seed, prepared, weights, augmentation)
    batches = subject.batches(model.trainer.batch_size)
    first = next(batches)  # decodes all images into the cache
    opening = time.perf_counter() - began
    trial = subject.trial(subject.now.channels_last)

    def steps() -> Iterator[None]:
        for batch in itertools.chain([first], batches):
            trial.step([batch], subject.now.precision)
            wait_for(subject.device)
            yield

    step = _median(steps())
    trial.task.eval()
    images, targets = move_data_to_device((first.images, first.targets), subject.device)
    with torch.inference_mode(), autocast(subject.device, subject.now.precision):
        trial.task.validate(images, targets)
        started = time.perf_counter()
        trial.task.validate(images, targets)
        wait_for(subject.device)
        image = (time.perf_counter() - started) / len(images)
    views = 1 if getattr(model.task, "views", "one") == "one" else 2
    test = _count(prepared) * _tiles_each(model, prepared) * views if tested else 0.0
    return StepTimes(step, image, opening, model.trainer.batch_size, subject.samples, _validation(subject), test)


def time_images(features: Features, seed: int, prepared: Path, weights: Path) -> tuple[float, int]:
    """Return the seconds to extract the features of one image, and their number.

    Args:
        features: the section.
        seed: of copies and random weights.
        prepared: folder of the prepared data set.
        weights: folder of files of weights.
    """
    from sightline.training.features.building import build_features
    from sightline.training.features.embedding import batches

    extractor = build_features(features, seed, weights)
    images = batches(SplitStore(prepared / "train"), extractor)
    extractor(next(images))
    took: list[float] = []
    for _ in range(_BATCHES_OF_FEATURES):
        started = time.perf_counter()
        drawn = next(images, None)
        if drawn is None:
            break
        extractor(drawn)
        took.append((time.perf_counter() - started) / len(drawn))
    return (statistics.median(took) if took else 0.01), sum(extractor.dimensions.values())


def head_seconds(head: AnyHead, image: float, size: int, prepared: Path, start: float) -> dict[str, float]:
    """Return the seconds of the stages of a linear head or of one that finds defects, but for its name.

    Args:
        head: the section.
        image: seconds to extract the features of an image.
        size: number of features.
        prepared: folder of the data set.
        start: seconds until a stage has imported what it needs.
    """
    counts = {split: len(SplitStore(prepared / split)) for split in ("train", "val", "test")}
    if isinstance(head, PatchCore):
        return _finder_seconds(head, image, size, counts, start)
    assert not isinstance(head, Padim)
    train, share = counts["train"], 1 - 1 / head.folds
    samples = len(getattr(head, "C", [1])) * head.folds * share * min(head.choose_on or train, train) + train
    if getattr(head, "calibrate", "none") != "none":
        samples += head.folds * share * train
    samples += _CURVE * min(train, _CURVE_MOST)
    fitting = _FIT.get(head.kind, max(_FIT.values())) * samples * size * len(load_labels(prepared))
    return {
        "embed": start + _AROUND["embed"] + sum(counts.values()) * image,
        "fit_head": start + _AROUND["fit_head"] + fitting,
        "evaluate": start + _AROUND["evaluate"] + counts["test"] * image,
        "release": _AROUND["release"] + start / 4,
    }


def _finder_seconds(
    head: PatchCore, image: float, size: int, counts: Mapping[str, int], start: float
) -> dict[str, float]:
    """Return the seconds of a memory of places: chosen one by one, then compared with every place of an image."""
    memory = head.coreset * head.candidates
    choosing = _CHOOSING * head.candidates * memory * PROJECTED
    searching = _SEARCHING * memory * size
    return {
        "embed": start + _AROUND["embed"] + sum(counts.values()) * image,
        "fit_head": start + _AROUND["fit_head"] + choosing + counts["val"] * searching,
        "evaluate": start + _AROUND["evaluate"] + counts["test"] * (image + searching),
        "release": _AROUND["release"] + start / 4,
    }


def model_seconds(times: StepTimes, epochs: int, start: float) -> dict[str, float]:
    """Return the seconds of the stages of a network, but for its name.

    Args:
        times: measured.
        epochs: to train.
        start: seconds until a stage has imported what it needs.
    """
    return {
        "train": start + _AROUND["train"] + times.opening + epochs * times.epoch,
        "evaluate": start + _AROUND["evaluate"] + _FORWARDS * times.test * times.image,
        "release": _AROUND["release"] + start / 4,
    }


def common_seconds(prepare: float, start: float) -> dict[str, float]:
    """Return the seconds of stages that every project has.

    Args:
        prepare: measured seconds of preparing the data set.
        start: seconds until a stage has imported what it needs.
    """
    return {"prepare": prepare + _AROUND["prepare"] + start / 4, "register": _AROUND["register"] + start / 4}


def epochs_within(times: StepTimes, seconds: float, start: float) -> int:
    """Return how many epochs a training has in a number of seconds, its evaluation and release included."""
    fixed = sum(model_seconds(times, 0, start).values())
    return max(0, int((seconds - fixed) / times.epoch))


def _median(steps: Iterable[None]) -> float:
    took: list[float] = []
    began = previous = time.perf_counter()
    for number, _ in enumerate(steps):
        now = time.perf_counter()
        if number >= _WARM_UP:
            took.append(now - previous)
        if len(took) >= STEPS or (len(took) >= _FEWEST and now - began > _PATIENCE):
            break
        previous = now
    return statistics.median(took)


def _validation(subject: Subject) -> int:
    return len(subject.data.data["val"])


def _tiles_each(model: Model, prepared: Path) -> float:
    """Return how many tiles a test image has on average; 1 where it is seen as a whole."""
    if model.tiling is None:
        return 1.0
    store, size, overlap = SplitStore(prepared / "test"), model.tiling.size, model.tiling.overlap
    shapes = zip(store.column("height"), store.column("width"), strict=True)
    return statistics.fmean(len(tiles_over(*shape, size, overlap)) for shape in shapes)


def _count(prepared: Path) -> int:
    return len(SplitStore(prepared / "test"))
