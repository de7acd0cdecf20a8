"""What is particular to Linux is left out elsewhere; loader processes that are spawned give the same batches."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from sightline.system.processors import usable_processors
from sightline.training.batch import Batch
from sightline.training.datamodule import PreparedData

ROOT = Path(__file__).parents[2]
PROGRAM_FILES = [*ROOT.glob("src/**/*.py"), *ROOT.glob("pipelines/*.py"), *ROOT.glob("bench/*.py")]
# Of the standard library, on Linux alone; `hasattr` or `sys.platform` guards them where they stand.
LINUX_ONLY = {
    "sched_getaffinity": {"processors.py"},
    "posix_fallocate": {"cached_array.py"},
    "mallopt": {"process.py"},
    "process_cpu_count": set[str](),  # from Python 3.13 on
    "sched_setaffinity": set[str](),
    "memfd_create": set[str](),
    "sendfile": set[str](),
    "pidfd_open": set[str](),
    "posix_fadvise": set[str](),
    "cpu_count": {"processors.py"},
}


def test_what_only_linux_has_stands_in_one_guarded_place() -> None:
    found = [
        (path.name, node.attr)
        for path in PROGRAM_FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and path.name not in LINUX_ONLY.get(node.attr, {path.name})
    ]
    assert not found


def test_scripts_use_no_options_of_linux_alone() -> None:
    text = (ROOT / "Makefile").read_text()
    for words in ("sed -i", "readlink -f", "nproc", "xargs -r", "date -d", "cp --", "taskset", "grep -P", "stat -c"):
        assert words not in text
    assert "sched_getaffinity" not in (ROOT / ".ci/run").read_text()


def test_processors_are_counted_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(os, "sched_getaffinity"):
        assert usable_processors() == len(os.sched_getaffinity(0))
        monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_processors() == (os.cpu_count() or 1)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors() == 1


AS_ON_MACOS = """
import os, sys
for name in ("sched_getaffinity", "sched_setaffinity", "posix_fallocate", "memfd_create", "process_cpu_count"):
    if hasattr(os, name):
        delattr(os, name)
import torch, torch._dynamo  # they look at the system before it changes its name
sys.platform = "darwin"
from sightline.pipeline.process import set_up_process

set_up_process()
from sightline.training.datamodule import PreparedData
from sightline.training.hardware import choose_numerics
from sightline.labs.tuning.memory import available_bytes
from sightline.labs.tuning.speed import other_work
from sightline.operations.serve import Batching
from sightline.commands.cli import app
from pathlib import Path

assert choose_numerics(torch.nn.Linear(1, 1), "cpu", "32", "contiguous", None, dict, 1).threads == os.cpu_count()
assert available_bytes(Path("/nowhere")) > 0
other_work()
data = PreparedData(Path(sys.argv[1]), ["label"], size=8, channels=1, resize="letterbox", augment="none",
                    batch_size=4, num_workers=0, seed=0)
assert next(data.validation_batches()).images.shape == (4, 8, 8, 1)
sys.argv = ["sightline", "check", sys.argv[2]]
app(standalone_mode=False)
"""


@pytest.mark.faults
def test_entry_points_work_without_what_macos_lacks(digits: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", AS_ON_MACOS, str(digits), str(ROOT / "params.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "good: 2 data sets" in done.stdout


@pytest.fixture
def scenes_data(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedData:
    monkeypatch.chdir(tmp_path)  # where the cache is made
    fields = ["boxes", "box_labels", "instances", "semantic"]
    size = {"size": 256, "channels": 3, "resize": "letterbox"}
    return PreparedData(scenes, fields, **size, augment="light", batch_size=4, num_workers=2, seed=0)  # type: ignore[arg-type]


def test_loader_processes_are_sent_paths(scenes_data: PreparedData) -> None:
    data = scenes_data.data["train"]
    assert data.pixels.nbytes > 5_000_000
    assert len(pickle.dumps(data)) < 100_000


@pytest.mark.faults
def test_spawned_loader_processes_give_the_same_batches(scenes_data: PreparedData) -> None:
    data = scenes_data.data["train"]
    drawn = [[(1, index) for index in range(start, start + 4)] for start in (0, 8)]
    loader = DataLoader(
        data,
        batch_sampler=drawn,  # type: ignore[arg-type]
        num_workers=2,
        multiprocessing_context="spawn",
        collate_fn=scenes_data._loader("train", drawn).collate_fn,
    )
    for one, other in zip(loader, map(data.__getitems__, drawn), strict=True):
        assert_equal(one, other)


def assert_equal(one: Batch, other: Batch) -> None:
    assert torch.equal(one.images, other.images)
    assert one.epoch == other.epoch
    assert one.targets.keys() == other.targets.keys()
    for name, values in one.targets.items():
        pairs = zip(values, other.targets[name], strict=True)
        assert all(torch.equal(mine, its) for mine, its in pairs), name
