"""`sightline benchmark`: a small model is timed, written and drawn."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sightline.commands.cli import main
from sightline.config.models import Model
from sightline.data.store import load_labels
from sightline.operations.benchmark.picture import draw_pareto, front
from sightline.system.files import write_json
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model

PARAMS = """\
datasets: {digits: {format: digits, root: data/embedded}}
models:
  net:
    dataset: digits
    task: {kind: classification, architecture: mlp, hidden: [8]}
    input: {size: 8, channels: 1}
    augment: none
"""


@pytest.fixture
def project(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/digits").symlink_to(digits)
    section: dict[str, Any] = {"kind": "classification", "architecture": "mlp", "hidden": [8]}
    own = Model.model_validate({"dataset": "digits", "task": section, "input": {"size": 8, "channels": 1}})
    task = build(own.task, own.input, load_labels(digits))
    write_model(tmp_path / "models/net", task.eval(), ModelCard(own.task, own.input, task.labels, "32", False, 1, "0"))
    headline = {"name": "accuracy", "value": 0.9, "low": 0.8, "high": 1.0}
    write_json(tmp_path / "reports/net/evaluation/metrics.json", {"headline": headline})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sightline", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


def test_a_model_is_timed_with_all_its_engines(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("benchmark", "net", "--batches", "1,4", "--threads", "1") == 0
    assert "over torch" in capsys.readouterr().out
    folder = project / "reports/net/benchmark"
    told = json.loads((folder / "benchmark.json").read_text())
    assert [(row["engine"], row["batch"]) for row in told["rows"]] == [
        (engine, batch) for engine in ("torch", "onnx") for batch in (1, 4)
    ]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] and row["size_mb"] > 0 for row in told["rows"])
    assert (told["metric"], told["split"], told["scores"]["onnx"]) == ("accuracy", "test", 0.9)
    assert len(pd.read_csv(folder / "benchmark.csv")) == 4
    assert (folder / "pareto.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nett"], "models.nett: no such entry (did you mean net?)"),
        (["net", "--batches", "1,0"], "--batches: '0': must be a number from 1 to 4096, or several such as 1,8,32"),
        (["net", "--threads", "two"], "--threads: 'two': must be a number from 1 to 256, or several"),
    ],
)
def test_mistakes_are_told(project: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    assert run("benchmark", *words) == 2
    assert told in capsys.readouterr().err
    assert not (project / "reports/net/benchmark").exists()


def test_the_front_is_what_no_other_point_beats(tmp_path: Path) -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (2.0, 0.8), (3.0, 0.8), (4.0, 0.9)]
    assert front(points, smaller=False) == [(1.0, 0.5), (2.0, 0.8), (4.0, 0.9)]
    assert front(points, smaller=True) == [(1.0, 0.5), (2.0, 0.4)]
    rows = [{"engine": engine, "batch": 1, "latency_ms": time} for engine, time in (("torch", 9.0), ("int8", 2.0))]
    one = {"model": "a", "metric": "mae", "split": "val", "scores": {"torch": 1.0, "int8": 1.1}, "rows": rows}
    draw_pareto(one, [{**one, "model": "b", "scores": {"torch": 0.9}}], tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()
