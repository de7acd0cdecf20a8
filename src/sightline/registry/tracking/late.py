"""A logger of Lightning that is made when there is something to log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from pytorch_lightning.loggers import Logger


class LateLogger(Logger):
    """Stands for the logger that `make` returns, which is asked for after the first epoch.

    It has no `experiment`, as Lightning would ask for that before the first step.

    Args:
        make: imports what it needs, and may take a second or two.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._make = make

    @cached_property
    def own(self) -> Any:
        """The logger."""
        return self._make()

    @property
    def name(self) -> str | None:
        """As Lightning asks for it before anything is logged: not known yet."""
        return None

    @property
    def version(self) -> str | None:
        """As Lightning asks for it before anything is logged: not known yet."""
        return None

    @property
    def run_id(self) -> str | None:
        """The id of its run."""
        return None if self.own.run_id is None else str(self.own.run_id)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Log settings."""
        self.own.log_hyperparams(params, *args, **kwargs)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the row of an epoch."""
        self.own.log_metrics(metrics, step)

    def finalize(self, status: str) -> None:
        """End the run; one that failed before its first epoch is made for that, if it can be."""
        if status == "failed" and "own" not in vars(self):
            with suppress(Exception):  # what failed is raised, not that it could not be written down
                self.own.finalize(status)
            return
        self.own.finalize(status)
