"""The folder beside a model directory with its network in 8-bit integers: `models/NAME.int8`.

`int8.json` says what was tried and how much is lost; `model.int8.onnx` is there where that was little enough. The file
names the `model.onnx` that it was made from by its hash, so it is never taken for another model's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.system.errors import UserError
from sightline.system.files import read_json

if TYPE_CHECKING:
    from sightline.training.artifact.folder import ModelCard
    from sightline.training.artifact.onnx import OnnxNetwork

INT8, INT8_REPORT = "model.int8.onnx", "int8.json"
MADE_FROM = "sightline.int8.of"  # in the metadata of the file: the sha256 of the model.onnx that it was made from


def int8_folder(model: Path) -> Path:
    """Return the folder of the int8 network of a model directory; names of models have no dot."""
    named = model.resolve() if model.name in ("", "..") else model
    return named.with_name(f"{named.name}.int8")


def read_int8_report(model: Path) -> dict[str, Any] | None:
    """Return what `int8.json` beside a model directory says, None if there is none."""
    path = int8_folder(model) / INT8_REPORT
    return dict(read_json(path)) if path.is_file() else None


def read_int8(model: Path, card: ModelCard, threads: int | None = None) -> OnnxNetwork:
    """Return the int8 network of a model directory, checked against the hashes of file and model.

    Args:
        model: the model directory.
        card: of the model.
        threads: as in `OnnxNetwork`.

    Raises:
        UserError: there is none, it is damaged, or it is of another model.
    """
    from sightline.training.artifact.onnx import OnnxNetwork  # torch, which those who read reports do without

    folder, report = int8_folder(model), read_int8_report(model)
    path = folder / INT8
    if report is None:
        told = f"set export.{model.name}.int8 in params.yaml and run dvc repro, or use another engine"
        raise UserError(f"{path}: engine int8: this model has no such file; {told}")
    if not report.get("released"):
        raise UserError(f"{path}: engine int8: not released: {report.get('reason')}; use engine onnx")
    if not path.is_file():
        raise UserError(f"{path}: missing; restore it with dvc checkout")
    if hashlib.sha256(path.read_bytes()).hexdigest() != report.get("sha256"):
        raise UserError(f"{path}: does not match {INT8_REPORT} (different hash); restore it with dvc checkout")
    network = OnnxNetwork(path, threads)
    if not card.onnx_sha256 or network.metadata.get(MADE_FROM) != card.onnx_sha256:
        raise UserError(f"{path}: was made from another model.onnx than that of {model}; run dvc repro")
    return network
