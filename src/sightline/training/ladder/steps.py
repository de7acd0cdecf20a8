"""The steps of a ladder, each judged when it is taken; what is finished stays in files until all are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pytorch_lightning import Callback
from pytorch_lightning.loggers import Logger
from torch import Tensor

from sightline.config.ladder import Ladder, Rung
from sightline.data.vary.augmentation import key
from sightline.system.files import new_file, read_json, write_json
from sightline.tasks.base import Task
from sightline.training.fit import FollowedBy, calibrate, fit_network
from sightline.training.job import Job
from sightline.training.ladder.judgement import Judgement, judged, measured
from sightline.training.ladder.mixture import Teacher, soup
from sightline.training.ladder.probe import fit_last_layer, why_not
from sightline.training.module import Relabel

_WEIGHTS, _CURVES = "finished.safetensors", "finished.json"  # of a step, in the folder of its checkpoints


@dataclass(frozen=True)
class Finished:
    """A trained network and the epochs that led to it."""

    state: dict[str, Tensor]
    curves: list[dict[str, float]]
    kept_epoch: int


@dataclass(frozen=True)
class Kept:
    """The network that is kept so far, with its rows on validation."""

    rung: Rung
    state: dict[str, Tensor]
    rows: pd.DataFrame


class Steps:
    """Trains, measures and judges.

    Args:
        job: what there is to train.
        ladder: the section.
        logger: follows the first fine-tuning, as in `fit.train`.
        callbacks: of all trainings.

    Attributes:
        task: the network, whose weights change from step to step.
        numerics: its precision and layout.
        kept: what is kept so far; None before the first step.
        metric: by which steps are judged; "" before the first.
        folders: of checkpoints, to be deleted in the end.
        curves: of the first fine-tuning, of the distillation where that is kept, of the probe where there is neither.
        kept_epoch: of these.
        logger: what followed, if anything.
    """

    def __init__(self, job: Job, ladder: Ladder, logger: FollowedBy | None, callbacks: Sequence[Callback]) -> None:
        self.job, self.ladder = job, ladder
        self.task, self.numerics = job.task()
        self.kept: Kept | None = None
        self.metric = ""
        self.folders: list[Path] = []
        self.curves: list[dict[str, float]] = []
        self.kept_epoch = 0
        self.logger: Logger | None = None
        self._follow, self._callbacks = logger, callbacks
        self._start = _state_of(self.task)
        self._tuned: list[Finished] = []

    def head(self) -> Judgement:
        """Fit the last layer alone; all fine-tunings begin with it, whether it is kept or not."""
        if why := why_not(self.task):
            return Judgement("head", None, None, None, None, False, why)
        folder = self._folder("head", 0)
        done = _read(folder)
        if done is None:
            data = self.job.data(self.task, self.job.seed)
            curves = fit_last_layer(self.job, self.task, data, self.job.seed)
            done = Finished(_state_of(self.task), curves, 0)
            _write(folder, done)
        self._start, self.curves, self.kept_epoch = done.state, done.curves, 0
        return self._judge("head", done.state)

    def fine_tune(self) -> Judgement:
        """Train all layers, with the model's seed."""
        done = self._tune(0)
        self.curves, self.kept_epoch = done.curves, done.kept_epoch
        return self._judge("fine_tune", done.state)

    def soup(self) -> Judgement:
        """Average the weights of all fine-tunings."""
        return self._judge("soup", soup([one.state for one in self._all()]))

    def distill(self) -> Judgement:
        """Train once more, on what all fine-tunings say of the images, too."""
        teachers = []
        for one in self._all():
            teacher = copy.deepcopy(self.task)
            teacher.load_state_dict(one.state)
            teachers.append(teacher)
        done = self._trained("distill", 0, key(self.job.seed, "distill") >> 33, Teacher(teachers))
        judgement = self._judge("distill", done.state)
        if judgement.kept:
            self.curves, self.kept_epoch = done.curves, done.kept_epoch
        return judgement

    def _all(self) -> list[Finished]:
        return [self._tune(number) for number in range(self.ladder.seeds)]

    def _tune(self, number: int) -> Finished:
        """Return a fine-tuning; they differ in order, augmentation and dropout, and begin with the same weights."""
        if number == len(self._tuned):
            seed = self.job.seed if number == 0 else key(self.job.seed, "fine_tune", number) >> 33
            self._tuned.append(self._trained("fine_tune", number, seed, None))
        return self._tuned[number]

    def _trained(self, rung: Rung, number: int, seed: int, relabel: Relabel | None) -> Finished:
        folder = self._folder(rung, number)
        follow = self._follow if (rung, number) == ("fine_tune", 0) else None
        done = _read(folder)
        if done is not None:
            if follow is not None:
                self.logger = follow(folder)  # it remembers its run there
            return done
        print(f"ladder: {rung} {number + 1}" + (f" of {self.ladder.seeds}" if rung == "fine_tune" else ""))
        self.task.load_state_dict(self._start)
        self.task.train()  # Lightning leaves modes as they are
        trained = fit_network(
            self.job,
            self.task,
            self.numerics,
            seed,
            folder,
            logger=follow,
            callbacks=self._callbacks,
            relabel=relabel,
        )
        if follow is not None:
            self.logger = trained.trainer.logger
        done = Finished(_state_of(self.task), trained.curves, trained.kept_epoch)
        _write(folder, done)
        return done

    def _judge(self, rung: Rung, state: dict[str, Tensor]) -> Judgement:
        self.task.load_state_dict(state)
        if self.task.calibrates:
            calibrate(self.task, self.job.data(self.task, self.job.seed))
        found = measured(self.job, self.task)
        self.metric = self.ladder.metric or found.headline
        before = None if self.kept is None else self.kept.rows
        kind, labels = self.task.kind, self.job.labels
        judgement = judged(self.ladder, kind, labels, rung, self.metric, before, found.rows)
        if judgement.kept:
            self.kept = Kept(rung, state, found.rows)
        return judgement

    def _folder(self, rung: Rung, number: int) -> Path:
        folder = self.job.folder(self.numerics, rung=rung, number=number)
        if folder not in self.folders:
            self.folders.append(folder)
        return folder


def _state_of(task: Task) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in task.state_dict().items()}


def _write(folder: Path, done: Finished) -> None:
    """Keep a finished step, in place of its checkpoints."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _CURVES, {"curves": done.curves, "kept_epoch": done.kept_epoch})
    with new_file(folder / _WEIGHTS) as work:  # last: where it is, the step is finished
        work.write_bytes(save({name: value.contiguous() for name, value in done.state.items()}))
    for checkpoint in folder.glob("*.ckpt"):
        checkpoint.unlink()


def _read(folder: Path) -> Finished | None:
    """Return a step that was finished before, if it was."""
    from safetensors.torch import load

    if not (folder / _WEIGHTS).is_file():
        return None
    told = read_json(folder / _CURVES)
    return Finished(load((folder / _WEIGHTS).read_bytes()), told["curves"], told["kept_epoch"])
