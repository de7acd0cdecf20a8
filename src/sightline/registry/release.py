"""Sums up a model: model directory and reports in, `release/NAME.json` out, the same bytes for the same model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.pipeline.store import DvcStore
from sightline.system.errors import UserError
from sightline.system.files import read_json
from sightline.training.artifact.int8 import int8_folder, read_int8_report

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Release:
    """The content of `release/NAME.json`; hashes of directories are DVC's.

    `batches` are those that were part of the model's data when it was made; `test_ids_sha256` is of the test samples'
    ids and truth, so it changes with a corrected annotation. `int8` is what int8.json says of the network in 8-bit
    integers, where one was asked for, without the single tries; `int8_md5` is of the folder with it.
    """

    name: str
    task: str
    model_md5: str
    training_md5: str
    evaluation_md5: str
    headline: dict[str, Any]
    samples: int
    test_ids_sha256: str
    weights_sha256: str
    batches: tuple[str, ...] = ()
    int8: dict[str, Any] | None = None
    int8_md5: str = ""


@dataclass(frozen=True)
class Folders:
    """The paths of the files of one model, in the workspace or taken from DVC's cache."""

    model: Path
    training: Path
    evaluation: Path


def folders(name: str, root: Path) -> Folders:
    """Return the places of a model's files in the workspace."""
    reports = root / "reports" / name
    return Folders(root / "models" / name, reports / "training", reports / "evaluation")


def release(name: str, root: Path, batches: Sequence[str] = (), int8: bool = False) -> dict[str, Any]:
    """Describe the model `name` of the workspace, made of data with these batches, without time, commit or run id.

    Args:
        name: of the model.
        root: of the project.
        batches: of its data.
        int8: whether its network in 8-bit integers belongs to it.

    Raises:
        UserError: a file is missing, or its `model.onnx` does not say what its network says.
    """
    import pyarrow.parquet as pq

    store, places = DvcStore(root), folders(name, root)
    model = _read(places.model / "model.json")
    metrics = _read(places.evaluation / "metrics.json")
    refuse_other_onnx(name, metrics)
    tested = pq.read_table(places.evaluation / "predictions.parquet")
    if "truth" not in tested.column_names:
        raise UserError(
            f"{places.evaluation}/predictions.parquet: no column truth, written by an older version; "
            f"run `dvc repro -f evaluate@{name}`"
        )
    return {
        "name": name,
        "task": model["task"]["kind"],
        "model_md5": store.directory_md5(places.model),
        "training_md5": store.directory_md5(places.training),
        "evaluation_md5": store.directory_md5(places.evaluation),
        "headline": metrics["headline"],
        "samples": metrics["samples"],
        "test_ids_sha256": test_set_sha256(tested["id"].to_pylist(), tested["truth"].to_pylist()),
        "weights_sha256": model["weights_sha256"],
        "batches": list(batches),
        **(_int8(name, places.model, store) if int8 else {}),
    }


def _int8(name: str, model: Path, store: DvcStore) -> dict[str, Any]:
    """Return what a release says of the int8 network; a model without is described as before there were any."""
    report = read_int8_report(model)
    if report is None:
        raise UserError(f"{int8_folder(model)}: no such folder; run `dvc repro quantise@{name}` to make it")
    told = {key: value for key, value in report.items() if key != "tries"} | {"tried": len(report.get("tries", ()))}
    return {"int8": told, "int8_md5": store.directory_md5(int8_folder(model)) if report["released"] else ""}


def refuse_other_onnx(name: str, metrics: Mapping[str, Any]) -> None:
    """Refuse a model whose exported network was found to differ, by its evaluation.

    Raises:
        UserError: says by how much.
    """
    onnx, headline = metrics.get("onnx"), metrics["headline"]
    if onnx is not None and not onnx["agrees"]:
        raise UserError(
            f"{name}: model.onnx differs from the network it was exported from: {headline['name']} "
            f"{onnx['headline']:.4f} "
            f"instead of {headline['value']:.4f}, the same prediction for {onnx['same']:.2%} of {metrics['samples']} "
            f"test samples, outputs differ by up to {onnx['largest_output_difference']:.2g}; export it again with "
            f"`dvc repro -f train@{name} evaluate@{name}`, or choose another architecture"
        )


def read_release(path: Path) -> Release:
    """Read what `release` described."""
    try:
        values = _read(path)
        return Release(**{**values, "batches": tuple(values.get("batches", ()))})
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a release: {error}; delete it and run `dvc repro`") from None


def headline_text(headline: Mapping[str, Any]) -> str:
    """Return the headline metric with its interval, where it has one."""
    value = f"{headline['name']} {headline['value']:.3f}"
    bounds = [headline.get(bound) for bound in ("low", "high")]
    return value if None in bounds else f"{value} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def test_set_sha256(ids: Iterable[str], truths: Iterable[str]) -> str:
    """Return the hash of a set of test samples in any order: their ids, and the hash of each one's truth."""
    lines = sorted(f"{one} {truth}" for one, truth in zip(ids, truths, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_rows(evaluation: Path) -> pd.DataFrame:
    """Read what a model made of each test sample from its evaluation folder."""
    import pandas as pd  # a second of imports that reading a release does not need

    return pd.read_parquet(evaluation / "predictions.parquet")


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
