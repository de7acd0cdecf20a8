"""Every picture of a model: made, listed, the same twice; and the command for one's own images."""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from known_networks import LABELS, colour_finder, coloured_squares
from pydantic import TypeAdapter

from sightline.commands.cli import main
from sightline.config.explanations import Explanation
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.store import load_labels
from sightline.evaluation.explain.ascent import ascended
from sightline.evaluation.explain.filters import smoothness
from sightline.evaluation.explain.making import by_class, explain_model
from sightline.evaluation.explain.neighbours import share_of_like_neighbours
from sightline.evaluation.explain.patches import seen_areas
from sightline.evaluation.explain.responses import choosy_channels, responses
from sightline.evaluation.explain.visualisation import channel_images
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model


def model_directory(folder: Path, prepared: Path, architecture: str = "mnist_cnn") -> Path:
    """A model of random weights for the digits."""
    torch.manual_seed(0)
    config: Any = TypeAdapter(TaskConfig).validate_python({"kind": "classification", "architecture": architecture})
    image, labels = Input(size=20, channels=1), load_labels(prepared)
    write_model(folder, build(config, image, labels), ModelCard(config, image, labels, "32", False, 1, ""))
    return folder


@pytest.mark.slow
def test_all_pictures_are_listed_and_the_same_twice(digits: Path, tmp_path: Path) -> None:
    model = model_directory(tmp_path / "cnn", digits)
    settings = Explanation(dataset="digits", samples=1, images=16, ascent_steps=2)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        explain_model(model, digits, settings, 0, tmp_path / name)
    listed = json.loads((tmp_path / "one/explanations.json").read_text())["pictures"]
    methods = {"filters", "activations", "patches", "visualisation", "neighbours"}
    assert {picture["method"] for picture in listed} == methods | {"grad_cam", "occlusion", "integrated_gradients"}
    for picture in listed:
        assert set(picture) == {"file", "title", "caption", "method", "source", "checks"}
        assert cv2.imread(str(tmp_path / "one" / picture["file"])) is not None
        for check in picture["checks"]:
            assert set(check) == {"name", "value", "of_random", "passes", "told"}
            assert isinstance(check["passes"], bool)
            assert check["told"]
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_methods_that_do_not_fit_are_left_out_or_refused(digits: Path, tmp_path: Path) -> None:
    model = model_directory(tmp_path / "mlp", digits, "mlp")
    settings = Explanation(dataset="digits", samples=1, images=16, methods=["filters", "grad_cam"])
    with pytest.raises(UserError, match="use occlusion instead"):
        explain_model(model, digits, settings, 0, tmp_path)
    wrong = Explanation(dataset="digits", layers=["dense9"], methods=["activations"], images=16)
    with pytest.raises(UserError, match=r"layers: dense9: .*did you mean dense1"):
        explain_model(model, digits, wrong, 0, tmp_path)


def test_the_command_draws_own_images(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_directory(tmp_path / "cnn", digits)
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)

    def explain(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["sightline", "explain", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    assert explain(str(model), str(image), "--out", "seen") == 0
    assert {path.name for path in Path("seen").iterdir()} == {
        "explanations.json",
        "grad_cam.png",
        "occlusion.png",
        "integrated_gradients.png",
    }
    assert explain(str(model), "model.txt", "--out", "seen") == 2
    assert "model.txt: cannot be read" in capsys.readouterr().err
    (tmp_path / "text.png").write_text("no image")
    assert explain(str(model), "text.png", "--out", "seen") == 2
    assert "text.png: not an image" in capsys.readouterr().err
    assert explain(str(model), str(image), "--out", str(tmp_path)) == 2
    assert "is not empty" in capsys.readouterr().err
    assert explain("nobody", str(image), "--out", "seen") == 2
    assert "nobody: no model there" in capsys.readouterr().err


def test_patches_lie_where_the_channel_looks() -> None:
    task = colour_finder()
    areas = seen_areas(task, 32, 3, ["body.0", "body.2"])
    assert areas["body.0"][5][7] == (4, 6, 7, 9)  # 3 x 3 around row 5, column 7
    assert areas["body.2"][5][7] == (9, 13, 13, 17)  # 2 x 2 of these, from row 10 and column 14 on
    pixels = coloured_squares([(2, 3, 0), (20, 20, 1), (4, 22, 2)])
    found = responses(task, pixels, ["body.2"])["body.2"]
    assert found.largest.argmax(0).tolist() == [0, 1, 2]
    assert choosy_channels(found, 2) == [0, 1]
    row, column = divmod(int(found.place[1, 1]), found.width)
    top, left, bottom, right = areas["body.2"][row][column]
    assert pixels[1, top:bottom, left:right, 1].mean() > 127


def test_ascent_reaches_what_it_climbs() -> None:
    climbed = (lambda images: images[..., 0].mean((1, 2)), 2, 16, 3, 30, 0, torch.device("cpu"))
    before, made = ascended(*climbed)
    assert (made[..., 0].mean((1, 2)) > before[..., 0].mean((1, 2)) + 30).all()
    _, again = ascended(*climbed)
    assert np.array_equal(made, again)
    _, made = channel_images(colour_finder(), "body.0", [0, 2], (16, 3), 30, 0)
    assert made.mean((1, 2)).argmax(1).tolist() == [0, 2]


def test_smoothness_and_neighbours_against_known_answers() -> None:
    ramp = np.tile(np.arange(9, dtype=np.float32)[:, None, None], (4, 1, 9, 1)).reshape(4, 9, 9, 1)
    assert smoothness(ramp) > 0.7
    noise = np.random.default_rng(0).normal(size=(64, 9, 9, 1)).astype(np.float32)
    assert abs(smoothness(noise)) < 0.1
    labels = np.repeat(np.arange(2), 10)
    apart = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32) + 20 * labels[:, None]
    assert share_of_like_neighbours(apart.astype(np.float32), labels) == 1
    assert by_class(np.array([0, 0, 0, 1, 2, 2])) == [0, 3, 4, 1, 5, 2]
    assert len(LABELS) == 3
