"""A small project with prepared scenes, and recent ones as they are and blurred."""

from pathlib import Path

import numpy as np
import pytest

from bench.drift import blurred
from sightline.config.dataset_section import Split
from sightline.config.datasets import Scenes
from sightline.data.encoding import encode_png
from sightline.data.raw.builtin_scenes import draw_scene
from sightline.data.raw.preparation import prepare

PARAMS = """\
seed: 3
datasets: {scenes: {format: scenes, root: data/embedded, size: 64}}
trainer: {}
evaluation: {}
models:
  cnn:
    dataset: scenes
    task: {kind: classification, architecture: mnist_cnn}
    weights: random
    input: {size: 64, channels: 3}
    augment: none
    optimizer: {name: adam, lr: 0.001}
monitor: {scenes: {min_samples: 30, max_samples: 60, flag_after: 2}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared scenes, and recent ones as they are and blurred."""
    root = tmp_path_factory.mktemp("drift") / "project"
    split = Split(train=0.1, val=0.8, test=0.1)
    scenes = Scenes(format="scenes", root="data/embedded", count=90, size=64, max_objects=1, split=split)
    prepare("scenes", scenes, root / "data/prepared/scenes")
    for folder in ("data/inbox/scenes/batch", "blurred"):
        (root / folder).mkdir(parents=True)
    for number in range(40):
        image = draw_scene(np.random.Generator(np.random.Philox(1000 + number)), 64, 1).image
        (root / f"data/inbox/scenes/batch/{number}.png").write_bytes(encode_png(image))
        (root / f"blurred/{number}.png").write_bytes(encode_png(blurred(2)(image)))
    (root / "blurred/broken.jpg").write_bytes(b"no image")
    (root / "params.yaml").write_text(PARAMS)
    return root
