"""A task, a format and a metric that another package brings: the one in examples/plugin, installed here."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc_project import Project
from PIL import Image

from sightline.pipeline.process import QUIET

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "examples/plugin"


def install(folder: Path, source: Path = PLUGIN) -> Path:
    """Lay a package and its entry points into a folder, as an installer does; return the folder, for PYTHONPATH."""
    about = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    shutil.copytree(source / about["name"], folder / about["name"])
    told = folder / f"{about['name']}-{about['version']}.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    groups = about["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (told / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def run(site: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **QUIET, "PYTHONPATH": f"{site}{os.pathsep}{ROOT / 'src'}"}
    return subprocess.run(
        [sys.executable, "-m", "sightline", *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    done = run(install(tmp_path), "check", "--contract", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    subjects = [" ".join(line.split()[1:3]) for line in lines]
    assert [subjects.count(one) for one in ("format list_file", "task counting", "metric within_one")] == [3, 6, 1]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("counting.py", "float(rows[name].mean())", "1 + float(rows[name].mean())", "exact is"),
        ("counting.py", "return [Prediction(values=row) for row", "return [Prediction() for row", "task counting"),
        ("counting.py", "F.smooth_l1_loss(outputs", "-F.smooth_l1_loss(outputs.detach()", "does not require grad"),
        ("counting.py", "mean_of((rows", "(lambda counts: counts.sum()) or ((rows", "gives () for two resamples"),
        (
            "list_file.py",
            'write_text("\\n".join(lines) + "\\n"',
            'write_text("\\n".join(lines[:1]) + "\\n"',
            "1 samples",
        ),
        ("list_file.py", "own.txt", "other.txt", None),
        ("settings.py", 'Literal["counting"]', 'Literal["count"]', 'must have kind: Literal["counting"]'),
        ("settings.py", "import Field", "import Filed", "cannot be imported (ImportError"),
    ],
)
def test_what_breaks_the_contract_is_named(tmp_path: Path, file: str, old: str, new: str, told: str | None) -> None:
    site = install(tmp_path)
    path = site / "shop" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    done = run(site, "check", "--contract", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if told is not None:
        assert told in done.stderr


def pictures(root: Path, count: int = 40) -> None:
    """Noise, dark or light, and the list that says which."""
    random = np.random.default_rng(0)
    (root / "photos").mkdir(parents=True)
    lines = []
    for number in range(count):
        pixels = random.integers(0, 100, (20, 24, 3), np.uint8) + 150 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"photos/{number}.png")
        lines.append(f"photos/{number}.png {('dark', 'light')[number % 2]}")
    (root / "list.txt").write_text("\n".join(lines) + "\n")


PARAMS: dict[str, Any] = {
    "datasets": {
        "listed": {"format": "list_file", "root": "data/raw/listed"},
        "scenes": {"format": "scenes", "root": "data/embedded", "count": 60, "size": 64},
    },
    "trainer": {"max_epochs": 1, "threads": 1},
    "models": {
        "shade": {
            "dataset": "listed",
            "task": {"kind": "classification", "architecture": "mnist_cnn"},
            "input": {"size": 16, "channels": 1},
        },
        "counter": {
            "dataset": "scenes",
            "task": "counting",
            "weights": "random",
            "input": {"size": 32},
            "augment": "none",
        },
    },
    "evaluation": {"resamples": 100, "headline": {"counter": "within_one"}},
}


@pytest.mark.slow
def test_the_pipeline_takes_them_as_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(site))
    project = Project(tmp_path / "project", {"datasets": {}, "models": {}}, packages=[site])
    pictures(project.root / "data/raw/listed")
    project.write_params(PARAMS)
    assert run(site, "check", cwd=project.root).returncode == 0
    ran = project.repro()
    assert {"train@counter", "train@shade", "register"} <= set(ran)
    metrics = json.loads((project.root / "reports/counter/evaluation/metrics.json").read_text())
    assert metrics["headline"]["name"] == "within_one"
    assert {"exact", "mean_difference", "within_one"} <= metrics["interval"].keys()
    assert {name: list(aliases) for name, aliases in project.aliases().items()} == {
        "counter": ["champion"],
        "shade": ["champion"],
    }
    # Their code is in the stamps: of the task, of the metric, of the format.
    path = site / "shop/counting.py"
    text = path.read_text()
    path.write_text(text.replace("<= 1", "<= 1.5").replace('"""The share', '"""What share'))
    ran = project.repro()
    assert ran[0] == "evaluate@counter"
    assert not [stage for stage in ran if stage.startswith(("train", "prepare")) or "shade" in stage]
    path.write_text(text.replace("F.smooth_l1_loss", "F.mse_loss"))
    assert "train@counter" in project.repro()
    path = site / "shop/list_file.py"
    path.write_text(path.read_text().replace("for _, name in pairs}", "for _, name in pairs if name}"))
    assert project.repro()[0] == "prepare@listed"
