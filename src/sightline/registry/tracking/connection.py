"""Where MLflow is, the client that speaks to it, and the project's one experiment."""

from __future__ import annotations

import fcntl
import logging
import os
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sightline.system.disk import disk_error, told_as
from sightline.system.errors import UserError
from sightline.system.files import work_folder

EXPERIMENT = "sightline"


def project_root() -> Path:
    """Return the main repository's root, also inside the temporary copy in which DVC runs an experiment."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the project's SQLite file by its absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _own_uri(root)


def _own_uri(root: Path) -> str:
    return f"sqlite:///{root.resolve() / 'mlflow.db'}"


class Connection:
    """MLflow for the project at `root`; it is imported when first asked."""

    def __init__(self, root: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self.root = root.resolve()
        self.uri = tracking_uri(root)
        self.shared = self.uri != _own_uri(root)  # others may write to it, from other clones of the project
        self.remote = self.uri.startswith(("http://", "https://"))

    @cached_property
    def client(self) -> Any:
        """MLflow's client.

        Raises:
            UserError: the server at MLFLOW_TRACKING_URI does not answer.
        """
        import mlflow

        for talker in ("mlflow", "alembic"):  # a line per migration, and per example checked
            logging.getLogger(talker).setLevel(logging.WARNING)
        # What it raises is reported by the caller that ends; here it would print a traceback first.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        _name_databases_in_errors()
        if self.remote:
            _ask(self.uri)
        elif not self.shared:
            _make_whole(self.root / "mlflow.db", self.root / ".sightline" / "mlflow.lock")
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
            try:
                location = None if self.remote else (self.root / "mlartifacts").as_uri()
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


def _make_whole(database: Path, lock: Path) -> None:
    """Make a project's database whole or not at all: killed or on a full disk, its migrations cannot be taken up.

    Raises:
        DiskError: the disk is full.
    """
    if database.exists():
        return
    import mlflow

    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # trainings begin side by side
        if database.exists():
            return
        with told_as(database), work_folder(lock.parent) as folder:  # with the journal next to it
            work = folder.resolve() / database.name
            mlflow.MlflowClient(f"sqlite:///{work}").search_experiments(max_results=1)
            work.replace(database)


@cache
def _name_databases_in_errors() -> None:
    """Report a database that cannot be written by its file, which its errors do not name."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine, ExceptionContext

    @event.listens_for(Engine, "handle_error")
    def name_file(context: ExceptionContext) -> BaseException | None:
        file = context.engine.url.database if context.engine is not None else None
        error = context.original_exception
        return disk_error(error, Path(file)) if file is not None else None  # raised in its place


def _ask(uri: str, seconds: int = 30) -> None:
    """Ask a server for a sign of life: MLflow's calls would retry for minutes before they fail."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        http_request(get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=seconds)
    except MlflowException:
        raise UserError(
            f"MLFLOW_TRACKING_URI: {_without_password(uri)} does not respond; start that server, or unset the variable "
            "to use the project's mlflow.db"
        ) from None


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
