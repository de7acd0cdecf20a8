"""A disk of which nothing, a little or nearly enough is left, under each stage that writes."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from small_disk import content, filled, half_written, run_script, small_disk

from sightline.data.cache import raw_pixels
from sightline.data.store import SplitStore
from sightline.disk import DiskError

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
LEFT = (0, 20_000, 150_000)  # bytes: nothing, some small files, a model but not all that is beside it
NETWORK: dict[str, Any] = {
    "dataset": "digits",
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 2e-3},
    "task": {"kind": "classification", "architecture": "mnist_cnn"},
}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {
        "digits": {"format": "digits", "root": "data/embedded"},
        "shapes": {"format": "image_folder", "root": "data/raw/shapes"},
    },
    "augmentations": {"varied": {"dataset": "digits", "policy": "light", "copies": 1}},
    "trainer": {"max_epochs": 1, "batch_size": 64, "threads": 1},
    "models": {"net": NETWORK},
    "features": {
        "pixels": {
            "dataset": "digits",
            "weights": "none",
            "input": {"size": 8, "channels": 1},
            "extractor": {"kind": "pixels"},
        }
    },
    "heads": {"near": {"dataset": "digits", "features": "pixels", "kind": "nearest_centroid"}},
    "explanations": {"net": {"dataset": "digits"}},
    "styles": {
        "small": {
            "content": "data/raw/content.png",
            "style": "data/raw/content.png",
            "architecture": "torchvision:squeezenet1_0",
            "weights": "random",
            "style_layers": {"features.1": 1.0},
            "content_layers": {"features.3": 1.0},
            "size": 32,
            "steps": 2,
        }
    },
    "evaluation": {"resamples": 100},
}
# A stage with its argument, and where its outputs lie; in the order of dvc.yaml.
STAGES = {
    ("prepare", "digits"): ["data/prepared/digits"],
    ("augment", "varied"): ["data/augmented/varied", "reports/augment/varied"],
    ("train", "net"): ["models/net", "reports/net/training", "reports/net/plots/curves.csv"],
    ("embed", "pixels"): ["data/features/pixels"],
    ("fit_head", "near"): ["models/near", "reports/near/training"],
    ("evaluate", "net"): ["reports/net/evaluation", "reports/net/metrics.json", "reports/net/plots/pictures"],
    ("evaluate", "near"): ["reports/near/evaluation", "reports/near/metrics.json", "reports/near/plots/pictures"],
    ("stylize", "small"): ["reports/stylized/small"],
    ("explain", "net"): ["reports/net/explanations"],
    ("release", "net"): ["release/net.json"],
    ("release", "near"): ["release/near.json"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project on a disk of its own, which holds all that it makes and the folder of temporary files too."""
    with small_disk(tmp_path_factory.mktemp("disk") / "disk", "64m") as root, pytest.MonkeyPatch.context() as patch:
        for name in ("data/embedded", "data/weights", "data/augmented", "data/slices"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pth"))
        YAML(typ="safe").dump(json.loads(json.dumps(PARAMS)), root / "params.yaml")
        (root / "data/raw").mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(root / "data/raw/content.png")
        (root / "temporary").mkdir()
        patch.setattr(tempfile, "tempdir", str(root / "temporary"))
        for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_ROOT", "DVC_STAGE"):
            patch.delenv(name, raising=False)
        patch.chdir(root)
        git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=root, check=True)
        shutil.copy(ROOT / "dvc.yaml", root / "dvc.yaml")
        (root / "dvc.lock").write_text("schema: '2.0'\n")
        subprocess.run([*git, "add", "params.yaml"], check=True)
        subprocess.run([*git, "commit", "-qm", "start"], check=True)
        yield root


@pytest.mark.parametrize(("stage", "outputs"), STAGES.items(), ids=["-".join(stage) for stage in STAGES])
def test_a_stage_tells_a_full_disk_leaves_no_half_and_goes_on(
    stage: tuple[str, str], outputs: list[str], project: Path
) -> None:
    places = [project / output for output in outputs]
    refused = 0
    for left in LEFT:
        with filled(project, left):
            done = run_script(*stage)
        assert not half_written(project)
        if done.code == 0:
            break
        refused += 1
        assert (done.code, len(done.errors)) == (2, 1), done.errors
        assert "the disk is full (" in done.errors[0]
        assert done.errors[0].count(": ") >= 1
    assert refused, "something is written"
    partial = content(*places)
    done = run_script(*stage)
    assert (done.code, done.errors) == (0, []), done.errors
    whole = content(*places)
    assert whole
    assert partial.items() <= whole.items(), "what was there before is what it is now: each file whole or not there"
    assert not half_written(project)
