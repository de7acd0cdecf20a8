"""The logger that follows a training."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    training that is taken up again goes on with its run, or with a new one where MLflow has lost it.
    """
    if find_spec("mlflow") is None:
        return None
    from pytorch_lightning.loggers import MLFlowLogger
    from pytorch_lightning.utilities import rank_zero_only

    connection = Connection(root or project_root())
    remembered = memory / "mlflow-run"
    run = remembered.read_text().strip() if remembered.exists() else None
    if is_main := getattr(rank_zero_only, "rank", 0) == 0:  # one process makes experiment and run
        connection.experiment  # noqa: B018
        if run is not None and not connection.run_exists(run):
            run = None
    logger = MLFlowLogger(EXPERIMENT, run_name=name, run_id=run, tracking_uri=connection.uri, log_model=False)
    if is_main:
        _begin(logger)
        if run is None:
            logger.log_hyperparams(short_params(params))
            remembered.write_text(str(logger.run_id))
        if parent := os.environ.get(PARENT):
            logger.experiment.set_tag(logger.run_id, PARENT_TAG, parent)
    return logger


def _begin(logger: Any) -> None:
    """Let the logger find or make its run, without setting MLflow's address for this process and its children."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    logger.experiment  # noqa: B018
    mlflow.set_tracking_uri(before)


def mark_trained(logger: Any, weights_sha256: str) -> None:
    """Tag the logger's run, complete now, with the weights that it made; without a logger there is nothing to do."""
    if logger is None:
        return
    logger.experiment.set_tag(logger.run_id, WEIGHTS_TAG, weights_sha256)
