"""Trains a model, in one go or in steps: configuration and prepared data in, model directory out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import torch
from pytorch_lightning import Callback

from sightline.config.augmentations import Augmentation
from sightline.config.crop_by import CropBy
from sightline.config.ladder import Ladder, Rung
from sightline.config.models import Model
from sightline.system.errors import UserError
from sightline.training.artifact.folder import write_model
from sightline.training.chains import train_chain
from sightline.training.fit import Fitted, FollowedBy, calibrate, train
from sightline.training.job import Job, open_job
from sightline.training.ladder.judgement import Judgement
from sightline.training.ladder.steps import Steps
from sightline.training.loop import algorithms_restored, device_type, hush
from sightline.training.resume import RESUME


def train_model(
    config: Model,
    seed: int,
    prepared: Path,
    output: Path,
    *,
    augmentation: Augmentation | None = None,
    augmented: Path = Path("data/augmented"),
    weights_folder: Path = Path("data/weights"),
    models: Path = Path("models"),
    logger: FollowedBy | None = None,
    callbacks: Sequence[Callback] = (),
    resume_root: Path = RESUME,
) -> Fitted:
    """Train a model and write its directory; the arguments are those of `fit.train`.

    The detector of `crop_by` is looked up in `models`.

    Raises:
        UserError: weights or settings that do not fit the data, the network or the machine.
    """

    def learn(data: Path, folder: Path) -> Fitted:
        match config.ladder:
            case Ladder() as ladder:
                hush()
                job = open_job(config, seed, data, augmentation, augmented, weights_folder, resume_root)
                return _climb(job, ladder, folder, logger, callbacks)
            case _:
                return train(
                    config,
                    seed,
                    data,
                    folder,
                    augmentation=augmentation,
                    augmented=augmented,
                    weights_folder=weights_folder,
                    logger=logger,
                    callbacks=callbacks,
                    resume_root=resume_root,
                )

    match config.crop_by:
        case CropBy() as crop:
            return train_chain(crop, config, prepared, output, models, learn)
        case _:
            return learn(prepared, output)


@algorithms_restored()
def _climb(job: Job, ladder: Ladder, output: Path, logger: FollowedBy | None, callbacks: Sequence[Callback]) -> Fitted:
    """Take one step after the other, and write the network that was kept last.

    Finished steps are kept until the end, so a ladder that was killed goes on with the step that it was at.
    """
    if job.processes > 1:
        raise UserError(f"ladder: trains in one process, not in {job.processes}; set trainer.devices: 1")
    if device_type(job.config.trainer.accelerator) == "cpu":
        torch.use_deterministic_algorithms(True)  # as in the loop, also where its result is read from a file
    steps = Steps(job, ladder, logger, callbacks)
    told = [_taken(steps, rung) for rung in ladder.rungs]
    task, kept = steps.task, steps.kept
    if kept is None:
        why = "; ".join(one.reason for one in told)
        raise UserError(f"ladder.rungs: no step can be taken: {why}; add fine_tune, or use recipe: good")
    task.load_state_dict(kept.state)
    if task.calibrates:
        calibrate(task, job.data(task, job.seed))
    card = write_model(output, task.eval().cpu(), job.card(steps.numerics))
    for folder in steps.folders:
        shutil.rmtree(folder, ignore_errors=True)
    report = {
        "metric": steps.metric,
        "confidence": ladder.confidence,
        "samples": len(kept.rows),
        "kept": kept.rung,
        "rungs": [one.to_json() for one in told],
    }
    return Fitted(card, steps.curves, steps.kept_epoch, True, steps.logger, report)


def _taken(steps: Steps, rung: Rung) -> Judgement:
    match rung:
        case "head":
            judgement = steps.head()
        case "fine_tune":
            judgement = steps.fine_tune()
        case "soup":
            judgement = steps.soup()
        case "distill":
            judgement = steps.distill()
        case _:
            assert_never(rung)
    score = "" if judgement.score is None else f"{steps.metric} {judgement.score:.4f} on validation, "
    gain = (
        "" if judgement.gain is None else f" (gain {judgement.gain:+.4f} [{judgement.low:+.4f}, {judgement.high:+.4f}])"
    )
    print(f"ladder: {rung}: {score}{'kept' if judgement.kept else 'not kept'}: {judgement.reason}{gain}")
    return judgement
