"""`sightline init`: a project from the package's own files."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dvc_project import ROOT

from sightline.commands.cli import main
from sightline.commands.skeleton import SOURCES, is_theirs, skeleton
from sightline.config import load_params
from sightline.pipeline.dag import DAG, dag
from sightline.system.version import VERSION


def run(*words: str) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sightline", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_wheel_holds_what_a_project_gets() -> None:
    """An installation from a wheel reads these files, one from the repository the sources."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {f"sightline/skeleton/{target}": source for target, source in SOURCES.items()} == {
        target: source for source, target in wheel["force-include"].items()
    }
    assert all((ROOT / source).exists() for source in SOURCES.values())


def test_a_new_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "shop"
    assert not run("init", str(folder))
    assert "sightline start" in capsys.readouterr().out
    made = content(folder)
    assert made == {**skeleton(), DAG.as_posix(): made[DAG.as_posix()]}
    params = load_params(folder / "params.yaml")
    assert list(params.models) == ["first"]
    assert dag(params, folder)["train"].keys() == {"first"}
    assert (folder / ".git").is_dir()
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"prepare@images", "train@first", "evaluate@first"} <= set(listed.stdout.split())
    ignored = subprocess.run(
        [
            "git",
            "check-ignore",
            "data/raw/images",
            "data/raw/images.dvc",
            "data/weights/README.md",
            "models/first",
            "dvc.lock",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == ["data/raw/images", "models/first"]


def test_inside_another_repository_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    folder = tmp_path / "my shop"
    assert not run("init", str(folder))
    shown = capsys.readouterr().out
    assert not (folder / ".git").exists()
    assert f"note: {folder} is inside the git repository {tmp_path.resolve()}" in shown
    assert f"cd '{folder}' && sightline start" in shown
    assert not run("init", str(tmp_path))
    assert "note:" not in capsys.readouterr().out


def test_it_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    assert not run("init", str(tmp_path))
    assert "kept your README.md" in capsys.readouterr().out
    assert (tmp_path / "README.md").read_text() == "mine\n"
    before = content(tmp_path)
    assert run("init", str(tmp_path)) == 2
    assert f"`sightline init {tmp_path} --update` updates a project" in capsys.readouterr().err
    assert content(tmp_path) == before


def test_an_update_shows_and_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run("init", str(tmp_path))
    (tmp_path / "params.yaml").write_text((tmp_path / "params.yaml").read_text() + "seed: 3\n")
    (tmp_path / "dvc.yaml").write_text("# old\n" + (tmp_path / "dvc.yaml").read_text())
    (tmp_path / "pipelines/train.py").unlink()
    (tmp_path / "pipelines/own.py").write_text("OWN = 1\n")
    (tmp_path / "requirements.txt").write_text("sightline==0.0.1\nmy-plugin\n")
    before = content(tmp_path)
    capsys.readouterr()
    assert not run("init", str(tmp_path), "--update")
    shown = capsys.readouterr().out
    assert "-# old" in shown
    assert "dvc.yaml: not changed; --yes replaces it" in shown
    assert "train.py: new" in shown
    assert "requirements.txt: yours, so it stays; what is installed here is sightline" in shown
    after = content(tmp_path)
    assert after.pop("pipelines/train.py") == skeleton()["pipelines/train.py"]
    assert after == before
    assert not run("init", str(tmp_path), "--update", "--yes")
    assert content(tmp_path)["dvc.yaml"] == skeleton()["dvc.yaml"]
    assert {name: value for name, value in content(tmp_path).items() if is_theirs(name)} == {
        name: value for name, value in before.items() if is_theirs(name)
    }
    assert (tmp_path / "pipelines/own.py").exists()
    capsys.readouterr()
    assert not run("init", str(tmp_path), "--update")
    assert "everything is up to date" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["init", "FILE"], ["init", "FOLDER", "--update"]])
def test_what_cannot_be(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER").mkdir()
    assert run(words[0], str(tmp_path / words[1]), *words[2:]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words[1] in line


def test_one_version() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
