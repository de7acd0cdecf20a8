"""Prepared data sets that many tests read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sightline.config.datasets import Defects, Digits, Figures, Scenes, Strings
from sightline.data.raw.preparation import prepare
from sightline.pipeline.process import set_up_process

set_up_process()
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # a core each, for the programs that tests start too
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# What takes longest, of all tests together, in this order: begun last, one would leave the other cores idle.
LONG = (
    *("test_showcase-images", "test_showcase-objects", "test_coco128.py", "test_flowers"),
    *("test_mnist", "test_showcase-from-nothing", "test_mnist_heads", "test_heads_pipeline.py"),
    *("test_pipeline.py", "test_caltech25", "test_schedule.py", "test_pointing.py", "test_poisoned.py"),
    *("test_every_draw_of_a_shift_is_flagged_and_hardly_one_without", "test_team.py", "test_label_ids.py"),
    *("test_reproducible.py", "test_retrain.py", "test_publish.py", "test_reproduction.py", "test_ddp.py"),
    *("test_making.py", "test_browser.py", "test_by_hand.py", "test_stamps.py", "test_fit.py"),
)
APART = ("test_examples.py", "test_gate_simulation.py", "test_drift_draws.py")  # their tests share nothing


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of this name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by length, and keep the tests of a file in one process, as they share what its fixtures make."""

    def group(item: pytest.Item) -> str:
        own = item.name.replace("[", "-").rstrip("]")  # pytest-xdist takes no brackets
        return own if item.path.name in APART else item.path.name

    items.sort(key=lambda item: LONG.index(group(item)) if group(item) in LONG else len(LONG))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded digits, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    prepare("digits", Digits(format="digits", root="data/embedded"), folder)
    return folder


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few embedded scenes with boxes and masks, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "scenes"
    prepare("scenes", Scenes(format="scenes", root="data/embedded", count=60, size=96), folder)
    return folder


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few embedded scenes of digits turned by any angle, with oriented boxes, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "turned"
    prepare("turned", Scenes(format="scenes", root="data/embedded", count=60, size=96, turn=180), folder)
    return folder


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few embedded figures with key points, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "figures"
    prepare("figures", Figures(format="figures", root="data/embedded", count=60, size=96), folder)
    return folder


@pytest.fixture(scope="session")
def strings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few strips with two or three digits, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "strings"
    prepare("strings", Strings(format="strings", root="data/embedded", count=60, shortest=2, longest=3), folder)
    return folder


@pytest.fixture(scope="session")
def defects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few embedded images of one scene with and without defects, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "defects"
    prepare("defects", Defects(format="defects", root="data/embedded", count=100, size=64), folder)
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Random weights are the same, and torch as lenient, whatever tests ran before."""
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """MLflow's address is each project's own: what one leaves in the process, the next one would write to."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    assert os.environ.get("MLFLOW_TRACKING_URI") == before
