"""Runs of pictures: what made them, and the files themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sightline.registry.tracking.connection import Connection, project_root
from sightline.registry.tracking.limits import short_params


def log_pictures(name: str, params: Mapping[str, Any], files: Sequence[Path], root: Path | None = None) -> str | None:
    """Make a run called `name` with these params and files, the files under `pictures`.

    Returns:
        The run's id; None if mlflow is not installed.
    """
    if find_spec("mlflow") is None:
        return None
    from mlflow.entities import Param

    connection = Connection(root or project_root())
    made = connection.client.create_run(connection.experiment, run_name=name, tags={"sightline.kind": "pictures"})
    run = str(made.info.run_id)
    connection.client.log_batch(run, params=[Param(key, value) for key, value in short_params(params).items()][:100])
    for file in files:
        connection.client.log_artifact(run, str(file), "pictures")
    connection.client.set_terminated(run)
    return run
