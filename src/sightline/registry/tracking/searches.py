"""Runs of a search: a parent, and the trainings that it began as its children."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sightline.registry.tracking.connection import Connection
from sightline.registry.tracking.limits import short_key, short_params

PARENT = "SIGHTLINE_PARENT_RUN"  # the variable by which a training knows the search that began it
PARENT_TAG = "mlflow.parentRunId"  # MLflow's own: its pages show such runs below their parent


class Searches:
    """The parent runs of searches in the project's experiment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, name: str, params: Mapping[str, Any], known: str | None = None) -> str:
        """Return the run of a search: the one that an earlier start of it made, if MLflow still has it.

        Args:
            name: of the run.
            params: of the search.
            known: the run of an earlier start.
        """
        from mlflow.entities import Param

        client = self._connection.client
        if known is not None and self._connection.run_exists(known):
            client.update_run(known, status="RUNNING")
            return known
        run = client.create_run(self._connection.experiment, run_name=name, tags={"sightline.search": "true"})
        identity = str(run.info.run_id)
        client.log_batch(identity, params=[Param(key, value) for key, value in short_params(params).items()])
        return identity

    @contextmanager
    def running(self, parent: str) -> Iterator[None]:
        """Mark the run of a search and its trainings as killed if the block ends by an error."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                self.stop_children(parent)
                self._connection.client.set_terminated(parent, status="KILLED")
            raise

    def stop_children(self, parent: str) -> None:
        """Mark the trainings of a search that still count as running as killed: they were stopped."""
        client = self._connection.client
        condition = f"tags.`{PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'"
        for run in client.search_runs([self._connection.experiment], condition):
            client.set_terminated(run.info.run_id, status="KILLED")

    def end(self, parent: str, metrics: Mapping[str, float], files: list[Path]) -> None:
        """Write what a search has found, and end its run."""
        from mlflow.entities import Metric

        client, moment = self._connection.client, int(time.time() * 1000)
        found = [Metric(short_key(name), value, moment, 0) for name, value in metrics.items()]
        client.log_batch(parent, metrics=found)
        for path in files:
            client.log_artifact(parent, str(path), "choose")
        client.set_terminated(parent)
