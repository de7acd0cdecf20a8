"""Brings what DVC reads of `params.yaml` up to date: the stages that there are, and their stamps."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.pipeline.dag import write_dag
from sightline.pipeline.stamps import CODE, write_stamps


def refresh(root: Path) -> list[str]:
    """Do in a project what its stage `code` does, for commands that do not run it; return the stages that changed.

    A `dvc.yaml` of another making, without that stage, is left alone.

    Raises:
        ConfigError: `params.yaml` is not as it should be.
    """
    if not has_code_stage(root):
        return []
    params = load_params(root / "params.yaml", policies=False)
    write_dag(root, params)
    return write_stamps(root, params)


def has_code_stage(root: Path) -> bool:
    """Return whether a folder's `dvc.yaml` has the stage `code`."""
    path = root / "dvc.yaml"
    stages = YAML(typ="safe").load(path).get("stages") if path.is_file() else None
    return CODE in (stages or {})
