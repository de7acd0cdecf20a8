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
from registry_project import Project as RegistryProject
from ruamel.yaml import YAML
from small_disk import Done, content, filled, half_written, run_command, run_script, small_disk

from sightline.config import load_params
from sightline.data.cache import raw_pixels
from sightline.data.store import SplitStore
from sightline.pipeline.dag import write_dag
from sightline.system.disk import DiskError

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
IMAGES = 120
LEFT = (0, 20_000, 150_000)  # bytes: nothing, some small files, a model but not all that is beside it
NETWORK: dict[str, Any] = {
    "dataset": "shapes",
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 2e-3},
    "task": {"kind": "classification", "architecture": "mnist_cnn"},
}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {
        "shapes": {"format": "image_folder", "root": "data/raw/shapes"},
    },
    "augmentations": {"varied": {"dataset": "shapes", "policy": "light", "copies": 1}},
    "trainer": {"max_epochs": 1, "batch_size": 64, "threads": 1},
    "models": {"net": NETWORK},
    "features": {
        "pixels": {
            "dataset": "shapes",
            "input": {"size": 8, "channels": 1},
            "extractor": {"kind": "pixels"},
        }
    },
    "heads": {"near": {"dataset": "shapes", "features": "pixels", "kind": "nearest_centroid"}},
    "explanations": {"net": {"dataset": "shapes"}},
    "export": {"net": {"int8": True, "max_loss": 0.1}},
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
    ("code",): [".sightline/code"],
    ("prepare", "shapes"): ["data/prepared/shapes"],
    ("augment", "varied"): ["data/augmented/varied", "reports/augment/varied"],
    ("train", "net"): ["models/net", "reports/net/training", "reports/net/plots/curves.csv"],
    ("embed", "pixels"): ["data/features/pixels"],
    ("fit_head", "near"): ["models/near", "reports/near/training"],
    ("evaluate", "net"): ["reports/net/evaluation", "reports/net/metrics.json", "reports/net/plots/pictures"],
    ("evaluate", "near"): ["reports/near/evaluation", "reports/near/metrics.json", "reports/near/plots/pictures"],
    ("stylize", "small"): ["reports/stylized/small"],
    ("explain", "net"): ["reports/net/explanations"],
    ("quantise", "net"): ["models/net.int8"],
    ("release", "net"): ["release/net.json"],
    ("release", "near"): ["release/near.json"],
}


def draw(random: np.random.Generator, path: Path) -> None:
    """Write a picture of noise, dark or light by the name of its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 100, (24, 32, 3), np.uint8) + 150 * (path.parent.name == "light")
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project on a disk of its own, which holds all that it makes and the folder of temporary files too."""
    with small_disk(tmp_path_factory.mktemp("disk") / "disk", "64m") as root, pytest.MonkeyPatch.context() as patch:
        for name in ("pipelines", "data/embedded", "data/weights", "data/augmented", "data/slices"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pth"))
        YAML(typ="safe").dump(json.loads(json.dumps(PARAMS)), root / "params.yaml")
        write_dag(root, load_params(root / "params.yaml", policies=False))
        random = np.random.default_rng(0)
        for number in range(IMAGES):
            draw(random, root / f"data/raw/shapes/{('dark', 'light')[number % 2]}/{number}.png")
        draw(random, root / "data/raw/content.png")
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


def refuses(done: Done) -> None:
    assert (done.code, len(done.errors)) == (2, 1), done.errors
    assert ": the disk is full (" in done.errors[0]
    assert "; free space there" in done.errors[0]
    print(done.errors[0])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database."""
    import mlflow

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


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
        refuses(done)
    assert refused, "something is written"
    partial = content(*places)
    done = run_script(*stage)
    assert (done.code, done.errors) == (0, []), done.errors
    whole = content(*places)
    assert whole
    assert partial.items() <= whole.items(), "what was there before is what it is now: each file whole or not there"
    assert not half_written(project)


def test_predictions_and_pages_are_whole_or_not_there(project: Path) -> None:
    """After the stages above."""
    arguments = ("predict", "net", "data/raw/shapes/dark", "--out", "predicted.csv")
    assert run_command(*arguments).code == 0
    whole = (project / "predicted.csv").read_bytes()
    (project / "predicted.csv").unlink()
    with filled(project, 0):
        refuses(run_command(*arguments))
    assert not (project / "predicted.csv").exists()
    assert run_command(*arguments).code == 0
    assert (project / "predicted.csv").read_bytes() == whole
    with filled(project, 0):
        refuses(run_command("report"))
    assert not (project / "reports/index.html").exists()
    assert run_command("report").code == 0
    assert (project / "reports/index.html").exists()
    assert not half_written(project)


def test_a_delivery_stays_in_the_inbox_until_there_is_room(project: Path) -> None:
    random = np.random.default_rng(1)
    delivered = [project / f"data/inbox/shapes/dark/new-{number}.png" for number in range(12)]
    for path in delivered:
        draw(random, path)
    for left in (0, 8_000, 30_000):
        with filled(project, left):
            refuses(run_command("ingest"))
        assert all(path.exists() for path in delivered)
        assert not list((project / "data/raw/shapes").rglob("new-*.png"))
    assert run_command("ingest").code == 0
    assert not any(path.exists() for path in delivered)
    assert len(list((project / "data/raw/shapes").rglob("new-*.png"))) == len(delivered)
    assert len((project / "registry/batches.jsonl").read_text().splitlines()) == 1


def test_the_registry_goes_on_from_where_the_disk_was_full(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", "16m") as root:
        monkeypatch.chdir(root)
        (root / "temporary").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(root / "temporary"))
        project = RegistryProject(root, database)
        project.make("first", range(0, 240, 4))
        for left in (0, 5_000, 40_000, 90_000):
            with filled(root, left):
                done = run_script("register")
            if done.code == 0:
                break
            refuses(done)
            ledger = root / "registry/ledger.jsonl"
            assert not ledger.exists() or ledger.read_bytes().endswith(b"}\n")
            assert not half_written(root)
        assert run_script("register").code == 0
        assert (project.aliases(), project.versions(), len(project.ledger())) == ({"champion": "1"}, ["1"], 1)
        assert project.runs() == 1
        monkeypatch.chdir(tmp_path)


def test_a_disk_of_two_megabytes_is_too_small_for_the_cache(digits: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as root:
        store = SplitStore(digits / "train")
        with pytest.raises(DiskError, match=r"64-1-letterbox\.npy: the disk is full \(") as caught:
            raw_pixels(store, 64, 1, "letterbox", root / "cache")
        assert len(caught.value.lines) == 1
        assert list((root / "cache").iterdir()) == []
        assert raw_pixels(store, 28, 1, "letterbox", root / "cache").shape == (len(store), 28, 28, 1)
