"""What always runs has nothing to do only where nothing at all has changed since it did everything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.config import check_policy, load_params
from sightline.config.errors import ConfigError
from sightline.pipeline.rest import Rest

ROOT = Path(__file__).parents[2]


def rest(root: Path, *words: str) -> Rest:
    reads, writes = [root / "params.yaml", root / "weights"], [root / "made"]
    return Rest(root, "code", reads, writes, words, lambda path: path.endswith("left-out"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("weights/inner/__pycache__", "made", "further"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("params.yaml", "weights/inner/a.pth", "made/stamp.json", "further/plugin.py"):
        (tmp_path / name).write_text(name)
    rest(tmp_path).keep()  # what is read further is known from now on
    rest(tmp_path).keep([str(tmp_path / "further")])
    rest(tmp_path).keep([str(tmp_path / "further")], told=["a"])
    return tmp_path


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "bytes": lambda root: (root / "params.yaml").write_text("params.yamL"),
    "time": lambda root: touch(root / "weights/inner/a.pth"),
    "gone": lambda root: (root / "weights/inner/a.pth").unlink(),
    "more": lambda root: (root / "weights/inner/b.pth").touch(),
    "empty folder": lambda root: (root / "weights/b").mkdir(),
    "written": lambda root: (root / "made/stamp.json").write_text("stamp"),
    "no longer written": lambda root: (root / "made/stamp.json").unlink(),
    "another package": lambda root: (root / "further/plugin.py").write_text("more"),
    "memo": lambda root: (root / ".sightline/rest/code.json").write_text("[1]"),
    "no memo": lambda root: (root / ".sightline/rest/code.json").unlink(),
}


def test_nothing_changed(root: Path) -> None:
    assert rest(root).holds()
    assert rest(root).known["told"] == ["a"]
    (root / "weights/inner/__pycache__/a.pyc").touch()
    (root / "weights/left-out").touch()
    assert not rest(root, "another word").holds()
    assert not Rest(root, "register", [], []).holds()


@pytest.mark.parametrize("change", CHANGES)
def test_anything_changed(root: Path, change: str) -> None:
    CHANGES[change](root)
    assert not rest(root).holds()


def test_a_change_while_it_works_is_no_rest(root: Path) -> None:
    begun = rest(root)
    (root / "made/stamp.json").write_text("its own doing")
    begun.keep([str(root / "further")])
    assert rest(root).holds()
    begun = rest(root)
    (root / "params.yaml").write_text("someone else's")
    begun.keep([str(root / "further")])
    assert not rest(root).holds()


def test_params_are_loaded_without_what_is_slow() -> None:
    slow = ("albumentations", "numpy", "pandas", "torch", "scipy")
    code = (
        "from pathlib import Path\nfrom sightline.config import load_params\nload_params(Path('params.yaml'), False)\n"
    )
    code += f"import sys\nprint([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("[{Horizontalflip: {}}]", "augmentations.own.policy[0].Horizontalflip: unknown transform"),
        ("[{RandomGridShuffle: {}}]", "augmentations.own.policy[0].RandomGridShuffle: does not move boxes"),
        ("[{MixUp: {}}]", "models.boxes.augment: own has MixUp, which is for "),
    ],
)
def test_a_stage_checks_the_policy_that_it_uses(tmp_path: Path, policy: str, told: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "datasets: {scenes: {format: scenes, root: data/embedded}}\n"
        f"augmentations: {{own: {{dataset: scenes, policy: {policy}}}}}\n"
        "models: {boxes: {dataset: scenes, task: {kind: detection}, input: {size: 96}, augment: own}}\n"
    )
    with pytest.raises(ConfigError) as whole:
        load_params(path)
    params = load_params(path, policies=False)
    check_policy(params, "light", path)
    with pytest.raises(ConfigError) as single:
        check_policy(params, "own", path)
    assert single.value.lines == whole.value.lines
    assert told in single.value.lines[0]
