"""The functions at the front door, by the examples in their own documentation."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sightline
from sightline.operations import api
from sightline.system.errors import UserError

SOURCE = Path(sightline.__file__).parents[1]
FUNCTIONS = [api.prepare, api.train, api.evaluate, api.load, api.predict]  # each goes on where the one before ended


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for function in FUNCTIONS:
        [example] = finder.find(function, function.__name__)
        result = runner.run(example)
        assert result.attempted >= 2
        assert not result.failed
    assert (tmp_path / "reports/digits/metrics.json").is_file()
    assert list((tmp_path / "reports/digits").glob("*.png"))
    with (tmp_path / "prepared/digits/samples.png").open("rb") as file:
        found = sightline.predict(sightline.load("models/digits"), [file.read(), "prepared/digits/samples.png"])
    assert found[0] == found[1]


def test_nothing_is_kept_to_be_sent(tmp_path: Path) -> None:
    """ONNX Runtime keeps the events that it means to send in a folder of caches; users set no variable."""
    program = (
        "import sightline; "
        "sightline.prepare('data/embedded', 'digits', format='digits'); "
        "sightline.train('digits', 'model', task={'kind': 'classification', 'architecture': 'mlp'}, "
        "input={'size': 8, 'channels': 1}, augment='none', trainer={'max_epochs': 1}); "
        "found = sightline.load('model'); assert found.onnx is not None; "
        "found.predict([open('digits/samples.png', 'rb').read()])"
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if "TELEMETRY" not in name and name not in ("CI", "DO_NOT_TRACK")
    }
    home = tmp_path / "home"
    home.mkdir()
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": str(SOURCE)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert not [path for path in home.rglob("*") if "onnx" in str(path).lower() or "microsoft" in str(path).lower()]


def test_the_front_door_names_them() -> None:
    assert sorted(function.__name__ for function in FUNCTIONS) == sightline.__all__
    assert all(getattr(sightline, name) is getattr(api, name) for name in sightline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        sightline.fit  # noqa: B018


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sightline.prepare: dataset.rot: unknown key \(did you mean root"):
        sightline.prepare(tmp_path, tmp_path / "prepared", rot="here")
    with pytest.raises(UserError, match=r"sightline.train: optimiser: unknown key \(did you mean optimizer"):
        sightline.train(tmp_path, tmp_path / "model", optimiser={"name": "adam"})
    with pytest.raises(UserError, match=r"none\.png: cannot be read"):
        sightline.predict(tmp_path / "model", "none.png")
