"""Whole jobs and the command line: files in, a folder of results out, mistakes in one line."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sightline.commands.cli import main
from sightline.config.models import Input
from sightline.config.styles import Style
from sightline.config.tasks.classification import Classification as ClassificationConfig
from sightline.data.structures import LabelMap
from sightline.labs.stylize.jobs import Made, make_styled
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model


@pytest.fixture
def model(pictures: Path) -> Path:
    """A model directory of a network for grey digits."""
    task = ClassificationConfig(kind="classification", architecture="mnist_cnn")
    image, labels = Input(size=28, channels=1), LabelMap(("0", "1"), ("0", "1"))
    card = ModelCard(task, image, labels, "fp32", False, 1, "0" * 64)
    write_model(pictures / "models/cnn", build(task, image, labels), card)
    return pictures / "models/cnn"


def section(pictures: Path, **changes: Any) -> Style:
    values: dict[str, Any] = {
        "content": str(pictures / "content.png"),
        "style": str(pictures / "styles"),
        "weights": {"model": "cnn"},
        "size": 28,
        "steps": 4,
        **changes,
    }
    return Style.model_validate({name: value for name, value in values.items() if value is not None})


def make(pictures: Path, to: str = "to", **changes: Any) -> Made:
    return make_styled(section(pictures, **changes), 1, pictures / to, pictures / "data/weights")


def test_a_folder_of_results_by_a_model_of_the_pipeline(pictures: Path, model: Path) -> None:
    (pictures / "data/weights").mkdir(parents=True)
    made = make(pictures, frames_every=2, animation="gif", mix={"a.png": 3.0, "b.png": 1.0})
    names = {str(path.relative_to(made.folder)) for path in made.files()}
    frames = {"frames/step_0002.png", "frames/step_0004.png"}
    assert names == {"result.png", "losses.csv", "curve.png", "settings.json", "animation.gif", *frames}
    assert Image.open(made.folder / "result.png").size == (28, 20)
    assert Image.open(made.folder / "animation.gif").n_frames >= 2
    table = pd.read_csv(made.folder / "losses.csv")
    assert list(table.columns) == ["step", "total", "content", "style", "tv"]
    assert list(table["step"]) == [1, 2, 3, 4]
    settings = json.loads((made.folder / "settings.json").read_text())
    assert settings["mix"] == {"a.png": 0.75, "b.png": 0.25}
    assert settings["network"] == "cnn"
    assert settings["content_layers"] == {"activation1": 1.0} or settings["content_layers"]
    again = make(pictures, "again", frames_every=2, animation="gif", mix={"a.png": 3.0, "b.png": 1.0})
    assert [path.read_bytes() for path in again.files()] == [path.read_bytes() for path in made.files()]


def test_a_larger_style_has_larger_strokes(pictures: Path, model: Path) -> None:
    (pictures / "data/weights").mkdir(parents=True)
    results = [np.asarray(Image.open(make(pictures, style_size=size).folder / "result.png")) for size in (None, 56)]
    assert not np.array_equal(*results)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"content": "nowhere.jpg"}, "nowhere.jpg: no such picture"),
        ({"style": "nowhere"}, "nowhere: no such picture or folder"),
        ({"mix": {"c.png": 1.0}}, "mix: c.png: no such picture in"),
        ({"style_layers": {"conv3": 1.0}}, "layers: 'conv3': no such layer (did you mean conv"),
        ({"weights": {"model": "cn"}}, "contains no model (model.json is missing)"),
        ({"weights": "none.pth", "architecture": "torchvision:squeezenet1_0"}, "none.pth: no such file"),
        (
            {"weights": "random", "architecture": "torchvision:squeezenet1"},
            "no such classifier in torchvision (did you",
        ),
    ],
)
def test_what_is_not_there_is_told_in_a_line(pictures: Path, model: Path, changes: dict[str, Any], told: str) -> None:
    (pictures / "data/weights").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        make(pictures, **changes)
    assert len(error.value.lines) == 1
    assert told in error.value.lines[0]
    assert not (pictures / "to").exists()


def test_a_file_that_is_no_picture_is_told(pictures: Path, model: Path) -> None:
    (pictures / "data/weights").mkdir(parents=True)
    (pictures / "content.png").write_bytes(b"text")
    with pytest.raises(UserError, match="not a readable picture"):
        make(pictures)


def run(*words: str) -> int:
    """Run the command; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sightline", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


def test_commands(
    pictures: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pictures)
    (pictures / "data/weights").mkdir(parents=True)
    words = ["content.png", "styles", "--network", "cnn", "--size", "28", "--steps", "2", "--mix", "a.png=1"]
    assert run("stylize", *words, "--to", "drawn") == 0
    assert capsys.readouterr().out.startswith("drawn/result.png: 2 steps, total ")
    assert run("dream", "cnn", "content.png", "--size", "28", "--steps", "2", "--octaves", "1", "--to", "dreamt") == 0
    assert "dreamt/result.png: cnn, " in capsys.readouterr().out
    assert Image.open("dreamt/result.png").mode == "L"
    assert run("dream", "models/cnn", "--class", "1", "--size", "28", "--octaves", "1", "--steps", "1") == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stylize", "content.png", "styles", "--network", "cnn", "--mix", "a.png=0"], "mix: all weights are 0"),
        (["stylize", "content.png", "styles", "--network", "cnn", "--mix", "a.png=x"], "--mix: a.png=x: must be NAME="),
        (["stylize", "content.png", "styles", "--network", "cnn", "--animation", "gif"], "needs frames_every"),
        (["dream", "cn"], "cn: no such model (did you mean cnn?)"),
        (["dream", "cnn", "--layer", "conv3", "--size", "28"], "layers: 'conv3': no such layer (did you mean conv"),
        (["dream", "cnn", "other.png"], "other.png: no such picture"),
    ],
)
def test_mistakes_on_the_command_line(
    pictures: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(pictures)
    assert run(*words) == 2
    output = capsys.readouterr()
    assert told in output.err
    assert len(output.err.splitlines()) == 1


def test_runs_keep_pictures(pictures: Path) -> None:
    from mlflow import MlflowClient

    from sightline.registry.tracking import log_pictures

    run_id = log_pictures("china", {"steps": 3}, [pictures / "content.png"], pictures)
    client = MlflowClient(f"sqlite:///{pictures / 'mlflow.db'}")
    found = client.get_run(run_id)
    assert found.info.run_name == "china"
    assert found.data.params == {"steps": "3"}
    assert [file.path for file in client.list_artifacts(run_id, "pictures")] == ["pictures/content.png"]


@pytest.mark.parametrize("colours", ["style", "luminance"])
def test_a_photograph_is_smoothed_and_says_what_that_costs(pictures: Path, model: Path, colours: str) -> None:
    (pictures / "data/weights").mkdir(parents=True)
    plain = make(pictures, "plain", colours=colours)
    made = make(pictures, photorealism=1e3, colours=colours)
    assert "smoothed" not in plain.settings
    assert made.settings["smoothed"] == made.numbers
    last = pd.read_csv(made.folder / "losses.csv").iloc[-1]
    assert made.numbers["photorealism"] < last["photorealism"]
    again = make(pictures, "again", photorealism=1e3, colours=colours)
    assert [path.read_bytes() for path in again.files()] == [path.read_bytes() for path in made.files()]
