"""How good a model is with each engine, and other models of its data that were timed before, to be drawn against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.system.files import read_json
from sightline.training.artifact.int8 import read_int8_report

FOLDER = "benchmark"


@dataclass(frozen=True)
class Scores:
    """The headline metric by engine, and of which split it is."""

    metric: str
    split: str
    of: dict[str, float]


def scores_of(root: Path, name: str) -> Scores | None:
    """Return the scores of a model of the workspace; None if it was not measured.

    Where it has a network in integers they are of the validation split, on which that one was compared; otherwise of
    the test split, by its evaluation.
    """
    report = read_int8_report(root / "models" / name)
    if report is not None and report.get("released"):
        fp32 = report["fp32"]
        return Scores(report["metric"], "val", {"torch": fp32, "onnx": fp32, "int8": report["int8"]})
    path = root / "reports" / name / "evaluation" / "metrics.json"
    if not path.is_file():
        return None
    headline = read_json(path)["headline"]
    return Scores(headline["name"], "test", dict.fromkeys(("torch", "onnx"), float(headline["value"])))


def others(root: Path, name: str, told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return earlier benchmarks of other models that can be compared: same data, metric, split and machine."""
    found = [read_json(path) for path in sorted((root / "reports").glob(f"*/{FOLDER}/benchmark.json"))]
    alike = ("dataset", "metric", "split", "machine")
    return [one for one in found if one.get("model") != name and all(one.get(key) == told[key] for key in alike)]
