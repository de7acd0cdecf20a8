"""Folders of raw files that are not there: misspelt, or not yet fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightline.config.datasets import Dataset
from sightline.system.errors import UserError


def missing_roots(datasets: Mapping[str, Dataset], project: Path = Path()) -> list[str]:
    """Return a line for each data set whose folder is not there, with what to do.

    DVC itself would say `[Errno 2]`, with neither data set nor key.

    Args:
        datasets: by name.
        project: the folder that `root` is relative to.
    """
    return [
        f"datasets.{name}.root: {dataset.root}: no such folder; {_remedy(project, dataset.root)}"
        for name, dataset in datasets.items()
        if not (project / dataset.root).exists()
    ]


def require_roots(datasets: Mapping[str, Dataset]) -> None:
    """Check that the folders of data sets are there, in the project that is worked on.

    Raises:
        UserError: with a line for each that is missing.
    """
    if lines := missing_roots(datasets):
        raise UserError(lines)


def _remedy(project: Path, root: str) -> str:
    if root.startswith("~"):
        return "~ is not expanded here; write the full path"
    for place in (Path(root), *Path(root).parents):
        pointer = place.with_name(f"{place.name}.dvc") if place.name else None
        if pointer is not None and (project / pointer).is_file():
            return f"fetch it with `dvc pull {pointer.as_posix()}`"
    return "put the raw files there, or correct `root` in params.yaml"
