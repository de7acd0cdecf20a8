"""The stage `stylize@NAME` in a real DVC repository, and style transfer with published weights."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from dvc_project import ROOT, Project
from PIL import Image
from ruamel.yaml import YAML
from sklearn.datasets import load_sample_image

from sightline.config.styles import Style
from sightline.labs.stylize.jobs import make_styled
from sightline.labs.stylize.networks import library_backbone
from sightline.labs.stylize.pictures import read_picture
from sightline.models.style.layers import LayerOutputs
from sightline.models.style.losses import as_maps, gram, relative_distance

DATA = ROOT.parent / "shared/data"


@pytest.mark.slow
def test_a_stage_draws_and_a_run_shows_it(tmp_path: Path) -> None:
    """With random weights of a small network: what is drawn is nothing to look at."""
    params: dict[str, Any] = YAML(typ="safe").load(ROOT / "examples/style.yaml")
    style: dict[str, Any] = {
        "content": "data/raw/content.png",
        "style": "data/raw/paintings",
        "architecture": "torchvision:squeezenet1_0",
        "weights": "random",
        "style_layers": {"features.1": 1.0, "features.3": 0.5},
        "content_layers": {"features.3": 1.0},
        "size": 32,
        "steps": 2,
    }
    project = Project(tmp_path, {**params, "styles": {"small": style}})
    (tmp_path / "data/raw/paintings").mkdir(parents=True)
    for seed, name in enumerate(("content.png", "paintings/one.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data/raw" / name)
    done = project.dvc("repro", "stylize@small")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "small: 2 steps, total " in done.stdout
    made = tmp_path / "reports/stylized/small"
    assert {path.name for path in made.iterdir()} == {"result.png", "losses.csv", "curve.png", "settings.json"}
    assert json.loads((made / "settings.json").read_text())["style_layers"] == {"features.1": 1.0, "features.3": 0.5}
    assert (tmp_path / "mlflow.db").exists()
    assert len(list((tmp_path / "mlartifacts").rglob("pictures/*.png"))) == 2
    assert "stylize@small" not in project.dvc("status").stdout
    style["style_layers"]["features.1"] = 2.0
    project.write_params({**params, "styles": {"small": style}})
    assert "stylize@small" in project.dvc("status").stdout


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder of real data beside the project")
def test_published_weights_draw_the_style(tmp_path: Path) -> None:
    """At 96 px and in 20 steps: the loss falls, and a mix lies between its parts."""
    weights = DATA / "weights/squeezenet1_0_deepcompressed.pth"
    (tmp_path / "styles").mkdir()
    for name in ("starry_night.jpg", "the_scream.jpg"):
        copyfile(DATA / "style" / name, tmp_path / "styles" / name)
    Image.fromarray(load_sample_image("china.jpg")).save(tmp_path / "china.png")
    layers = ["features.1", "features.4", "features.8"]

    def grams(picture: Path) -> dict[str, torch.Tensor]:
        values = backbone.normalise(read_picture(picture, 96))
        with torch.no_grad():
            found = LayerOutputs(backbone.network, layers, values)(values)
        return {name: gram(as_maps(output)) for name, output in found.items()}

    def away(picture: Path, style: str) -> float:
        goal, found = grams(tmp_path / "styles" / style), grams(picture)
        return sum(float(relative_distance(found[name], goal[name])) for name in layers)

    backbone = library_backbone("torchvision:squeezenet1_0", weights)
    distances = {}
    for first in (1.0, 0.5, 0.0):
        section = Style(
            content=str(tmp_path / "china.png"),
            style=str(tmp_path / "styles"),
            mix={"starry_night.jpg": first, "the_scream.jpg": 1 - first},
            architecture="torchvision:squeezenet1_0",
            weights=weights.name,
            size=96,
            steps=20,
        )
        made = make_styled(section, 0, tmp_path / f"mix{first}", weights.parent)
        losses = pd.read_csv(made.folder / "losses.csv")
        assert losses["total"].is_monotonic_decreasing
        assert losses["style"].iloc[-1] < losses["style"].iloc[0] / 4
        distances[first] = [away(made.folder / "result.png", style) for style in ("starry_night.jpg", "the_scream.jpg")]
    assert distances[1.0][0] < distances[0.5][0] < distances[0.0][0]
    assert distances[0.0][1] < distances[0.5][1] < distances[1.0][1]
