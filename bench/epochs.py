"""Epochs of this project's training in turns with those of others."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback

from bench.pairs import Run


class Alternate(Callback):
    """Runs others' epochs before the trainer's in every second round, and after it in the rest.

    Validation is in none of them; the trainer's checkpoints are in ours. A first epoch warms up, so that the trainer
    needs one epoch more than `rounds`.

    Attributes:
        ours: seconds of each epoch.
        theirs: seconds of each round.
    """

    def __init__(self, runs: Mapping[str, Run], rounds: int) -> None:
        self.runs, self.rounds, self.turn, self.started = runs, rounds, -1, 0.0
        self.ours: list[float] = []
        self.theirs: dict[str, list[float]] = {name: [] for name in runs}

    def on_validation_end(self, *_: Any) -> None:
        """Let the others run in rounds in which they are first; then the trainer goes on."""
        if self.turn % 2 == 0 and self.turn < self.rounds:
            self._run_theirs(list(self.runs))
        gc.collect()
        self.started = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        """Note the epoch that the trainer has finished, and let the others run where they are second."""
        if self.turn >= 0:
            self.ours.append(time.perf_counter() - self.started)
        if self.turn % 2:
            self._run_theirs(list(self.runs)[::-1])
        self.turn += 1

    def _run_theirs(self, order: list[str]) -> None:
        for name in order:
            with torch.inference_mode(False), torch.enable_grad():
                seconds = self.runs[name]()
            if self.turn >= 0:
                self.theirs[name].append(seconds)
