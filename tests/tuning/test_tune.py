"""The command `sightline tune`, in a project of its own."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightline.commands.tune import tune
from sightline.config import load_params
from sightline.labs.tuning.findings import Finding
from sightline.system.errors import UserError

PARAMS = """\
seed: 3 # any
datasets: {digits: {format: digits, root: data/embedded}}
trainer: {accelerator: cpu} # common
models:
  small: # hidden units
    dataset: digits
    task:
      kind: classification
      architecture: mlp
    weights: random
    input: {size: 8, channels: 1}
    augment: none
    optimizer: {name: adam, lr: 1.0e-7} # far too low
evaluation: {}
"""


@pytest.fixture
def project(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/digits").symlink_to(digits)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tune_probes_shows_and_writes(project: Path) -> None:
    # In a process of its own: loader processes must not be forked from one in which other tests loaded MLflow.
    shown = subprocess.run(
        [sys.executable, "-c", WITH_MODULES, "tune", "small", "--yes", "--seconds", "1"],
        cwd=project,
        env={**os.environ, "GOMP_SPINCOUNT": "1000"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    for setting in ("optimizer.lr", "trainer.precision", "trainer.layout", "trainer.batch_size", "trainer.num_workers"):
        assert setting in shown.stdout
    assert "params.yaml: models.small: wrote optimizer.lr" in shown.stdout
    assert "loaded: []" in shown.stdout
    model = load_params(project / "params.yaml").model("small")
    assert 1e-4 < model.optimizer.lr < 1e-1
    assert model.trainer.batch_size == 32
    lines = (project / "params.yaml").read_text().splitlines()
    kept = [line for line in lines if "optimizer" not in line and not line.startswith("    trainer:")]
    assert kept == [line for line in PARAMS.splitlines() if "optimizer" not in line]
    assert f"    optimizer: {{name: adam, lr: {model.optimizer.lr}}} # far too low" in lines
    assert {path.name for path in (project / "reports/small/tuning").iterdir()} == {
        "learning_rate.png",
        "learning_rate.csv",
    }


WITH_MODULES = """
import sys
from sightline.commands.cli import main
try:
    main()
finally:
    print("loaded:", [name for name in ("mlflow", "prefect", "dvc") if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("found", "yes", "dry_run", "terminal", "answer", "told", "written"),
    [
        (0.01, True, False, False, None, "wrote optimizer.lr", True),
        (0.01, False, True, True, None, "--dry-run", False),
        (0.01, True, True, True, None, "--dry-run", False),
        (0.01, False, False, False, None, "`sightline tune small --yes` writes", False),
        (0.01, False, False, True, True, "wrote optimizer.lr", True),
        (0.01, False, False, True, False, "made up", False),
        (1e-7, True, False, False, None, "nothing to change", False),
    ],
)
def test_nothing_is_written_unasked(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: float,
    yes: bool,
    dry_run: bool,
    terminal: bool,
    answer: bool | None,
    told: str,
    written: bool,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "sightline.labs.tuning.probe", lambda *_, **__: [Finding("optimizer.lr", 1e-7, found, "made up")]
    )
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr("typer.confirm", lambda question: asked.append(question) or answer)
    tune("small", yes=yes, dry_run=dry_run)
    shown = capsys.readouterr().out
    assert told in shown
    assert "made up" in shown
    assert bool(asked) == (answer is not None)
    assert ("lr: 0.01" in (project / "params.yaml").read_text()) == written
    assert written or (project / "params.yaml").read_text() == PARAMS


def test_data_that_are_not_prepared_are_told(project: Path) -> None:
    (project / "data/prepared/digits").unlink()
    with pytest.raises(UserError, match="run dvc repro prepare@digits"):
        tune("small")
    with pytest.raises(UserError, match="did you mean small"):
        tune("smal")
