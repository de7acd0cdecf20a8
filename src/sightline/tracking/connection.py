"""Where MLflow is, the client that speaks to it, and the project's one experiment."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from pathlib import Path
from typing import Any

EXPERIMENT = "sightline"


def project_root() -> Path:
    """Return the main repository's root, also inside the temporary copy in which DVC runs an experiment."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the project's own SQLite file by its absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


class Connection:
    """MLflow for the project at `root`; it is imported when first asked."""

    def __init__(self, root: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self.root = root.resolve()
        self.uri = tracking_uri(root)

    @cached_property
    def client(self) -> Any:
        """MLflow's own client."""
        import mlflow

        for talker in ("mlflow", "alembic"):  # a line per migration, and per example checked
            logging.getLogger(talker).setLevel(logging.WARNING)
        # Not `set_tracking_uri`: it leaves MLFLOW_TRACKING_URI in the environment, where every other project finds it.
        return mlflow.MlflowClient(self.uri)

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment, made at first use."""
        from mlflow.exceptions import MlflowException

        for attempt in range(2):
            found = self.client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                if found.lifecycle_stage == "deleted":
                    self.client.restore_experiment(found.experiment_id)
                return str(found.experiment_id)
            # A server knows itself where its files go; else MLflow would take the present folder of whoever is first.
            remote = self.uri.startswith(("http://", "https://"))
            try:
                location = None if remote else (self.root / "mlartifacts").as_uri()
                return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
            except MlflowException:
                if attempt:  # not just another process that was faster
                    raise
        raise AssertionError("unreachable")

    def run_exists(self, run: str) -> bool:
        """Return whether MLflow has a run with this id that is not deleted."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.get_run(run).info.lifecycle_stage) == "active"
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # unknown, not an id
                return False
            raise
