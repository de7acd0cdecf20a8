"""The logger that follows a training."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sightline.registry.tracking.connection import EXPERIMENT, Connection, project_root
from sightline.registry.tracking.limits import short_params
from sightline.registry.tracking.runs import WEIGHTS_TAG
from sightline.registry.tracking.searches import PARENT, PARENT_TAG


def training_logger(name: str, params: Mapping[str, Any], memory: Path, root: Path | None = None) -> Any | None:
    """Return Lightning's logger for a run called `name`; None if mlflow is not installed.

    A training that a search began is a child of its run. The run's id is kept in the folder `memory`, so that a
    training that is taken up again goes on with its run, or with a new one where MLflow has lost it. A run in the
    project's own file is made after the first epoch, as MLflow's import takes as long as many an epoch; on a server it
    is made now, since it may not respond. Either begins now.
    """
    if find_spec("mlflow") is None:
        return None
    from sightline.registry.tracking.late import LateLogger

    remembered = memory / "mlflow-run"
    run = remembered.read_text().strip() if remembered.exists() else None  # the folder may be gone later
    connection = Connection(root or project_root())
    logger = LateLogger(partial(_logger, connection, name, params, remembered, run, int(time.time() * 1000)))
    if connection.shared:
        logger.own  # noqa: B018
    return logger


def _logger(
    connection: Connection, name: str, params: Mapping[str, Any], remembered: Path, run: str | None, began: int
) -> Any:
    """Return MLflow's logger, with its run; `began`: milliseconds since 1970."""
    from pytorch_lightning.loggers import MLFlowLogger
    from pytorch_lightning.utilities import rank_zero_only

    is_main = getattr(rank_zero_only, "rank", 0) == 0  # one process makes experiment and run
    known = run is not None and (not is_main or connection.run_exists(run))
    if is_main and not known:
        run = _new_run(connection, name, began)
    logger = MLFlowLogger(EXPERIMENT, run_name=name, run_id=run, tracking_uri=connection.uri, log_model=False)
    if is_main:
        _begin(logger)
        if not known:
            logger.log_hyperparams(short_params(params))
            if remembered.parent.is_dir():
                remembered.write_text(str(logger.run_id))
        if parent := os.environ.get(PARENT):
            logger.experiment.set_tag(logger.run_id, PARENT_TAG, parent)
    return logger


def _new_run(connection: Connection, name: str, began: int) -> str:
    """Make a run with the tags that MLflow gives one, and return its id."""
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

    tags = resolve_tags({MLFLOW_RUN_NAME: name})
    run = connection.client.create_run(connection.experiment, start_time=began, tags=tags)
    return str(run.info.run_id)


def _begin(logger: Any) -> None:
    """Let the logger find its run, without setting MLflow's address for this process and its children."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    logger.experiment  # noqa: B018
    mlflow.set_tracking_uri(before)


def mark_trained(logger: Any, weights_sha256: str) -> None:
    """Tag the logger's run, complete now, with the weights that it made; without a logger there is nothing to do."""
    if logger is None:
        return
    logger.own.experiment.set_tag(logger.run_id, WEIGHTS_TAG, weights_sha256)
