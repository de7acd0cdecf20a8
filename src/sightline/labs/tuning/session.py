"""All probes of a model, in the order in which one needs the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sightline.config.augmentations import Augmentation
from sightline.config.models import Model
from sightline.labs.tuning.batch_size import batch_speeds, largest_batch
from sightline.labs.tuning.findings import Finding
from sightline.labs.tuning.learning_rate import tune_learning_rate
from sightline.labs.tuning.numerics import tune_numerics
from sightline.labs.tuning.speed import least_within, other_work
from sightline.labs.tuning.subject import open_subject
from sightline.labs.tuning.workers import tune_workers


def probe(
    config: Model,
    seed: int,
    prepared: Path,
    output: Path,
    *,
    augmentation: Augmentation | None = None,
    seconds: float = 60.0,
    fastest_batch: bool = False,
    weights_folder: Path = Path("data/weights"),
    tell: Callable[[str], None] = print,
) -> list[Finding]:
    """Try settings of a model on this machine, and say which ones to use.

    Args:
        config: the model's section.
        seed: of weights, order, augmentation and dropout.
        prepared: folder of the prepared data set; its test split is never read.
        output: folder for learning_rate.png and learning_rate.csv.
        augmentation: the section that `augment` names; None if it is a ready-made policy.
        seconds: for all timings; the learning rate takes a hundred steps as well.
        fastest_batch: suggest the smallest batch within 5 % of the best throughput, instead of keeping what fits.
        weights_folder: where `weights: FILE` is looked up.
        tell: called with the progress.

    Raises:
        UserError: data that are not prepared, or a model that this machine cannot train.
    """
    subject = open_subject(config, seed, prepared, weights_folder, augmentation)
    largest, room = largest_batch(subject)
    written = min(config.trainer.batch_size, subject.samples)  # no batch is larger than the split
    size = min(written, largest)
    if warning := other_work():
        tell(warning)
    tell(f"{subject.device.type}: timing precision and layout at {size} images per step")
    numerics, findings = tune_numerics(subject, size, 0.4 * seconds)
    tell("timing other batch sizes")
    speeds = batch_speeds(subject, numerics, size, largest, 0.2 * seconds)
    size = least_within(speeds) if fastest_batch else size
    told = ", ".join(f"{speed:,.0f} at {number}" for number, speed in speeds.items())
    suggested = config.trainer.batch_size if size == written else size
    findings.append(Finding("trainer.batch_size", config.trainer.batch_size, suggested, f"{room}; images/s: {told}"))
    tell("timing the loop with 0, 1, ... loader processes")
    findings.append(tune_workers(subject, numerics, size, 0.4 * seconds))
    tell("raising the learning rate step by step")
    rate = tune_learning_rate(subject, numerics, size, output)
    if size != written:
        rate = replace(rate, why=f"{rate.why}; for batch_size {size}")
    return [rate, *findings]
