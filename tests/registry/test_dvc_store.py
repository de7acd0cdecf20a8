import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from registry_project import Project
from ruamel.yaml import YAML
from warm_python import warm_python

from sightline.pipeline.store import DvcStore, git_sha, lock_md5
from sightline.system.errors import UserError

STAGES = """\
stages:
  report: {cmd: "true", deps: [fits], always_changed: true}
  fit:
    foreach: [b, a]
    do: {cmd: 'mkdir -p "fits/${item}"', deps: ["data"], outs: ["fits/${item}"]}
  data:
    cmd: mkdir -p data/sub && echo 1 > data/one && echo 2 > data/sub/two && printf x > data/ä
    outs: [data]
"""


def dvc(root: Path, *arguments: str) -> None:
    command = [warm_python(), "-m", "dvc", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)


@pytest.fixture
def repository(project: Project) -> Project:
    (project.root / "dvc.lock").unlink()
    (project.root / "dvc.yaml").write_text(STAGES)
    dvc(project.root, "repro", "-q", "data")
    return project


def locked(root: Path) -> str:
    lock = YAML(typ="safe").load((root / "dvc.lock").read_text())
    return str(lock["stages"]["data"]["outs"][0]["md5"])


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_hash_is_that_of_dvc_lock(repository: Project) -> None:
    assert DvcStore(repository.root).directory_md5(repository.root / "data") == locked(repository.root)
    with pytest.raises(UserError, match="no such folder"):
        DvcStore(repository.root).directory_md5(repository.root / "nowhere")


def test_restores_from_the_cache_then_from_the_remote_and_says_when_it_cannot(
    repository: Project, tmp_path: Path
) -> None:
    root, md5 = repository.root, locked(repository.root)
    wanted = files(root / "data")
    shutil.rmtree(root / "data")
    target = tmp_path / "back"
    DvcStore(root).restore(md5, target)
    assert files(target) == wanted
    dvc(root, "remote", "add", "-d", "far", str(tmp_path / "remote"))
    dvc(root, "push", "-q")
    shutil.rmtree(root / ".dvc" / "cache")
    DvcStore(root).restore(md5, target)
    assert files(target) == wanted
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(tmp_path / "remote")
    shutil.rmtree(target)
    with pytest.raises(UserError, match="gc -w") as error:
        DvcStore(root).restore(md5, target, "the model")
    assert error.value.lines[0].startswith(f"the model ({md5}) is not in DVC's cache")
    assert not target.exists()


def test_damaged_bytes_are_refused(repository: Project, tmp_path: Path) -> None:
    root, md5 = repository.root, locked(repository.root)
    cache: Any = DvcStore(root)._repo.cache.local
    for path in Path(cache.path).rglob("*"):
        if path.is_file() and path.read_bytes() == b"1\n":
            path.chmod(0o644)
            path.write_bytes(b"3\n")
    with pytest.raises(UserError, match="damaged"):
        DvcStore(root).restore(md5, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_groups_are_in_the_order_of_the_graph(repository: Project) -> None:
    store = DvcStore(repository.root)
    assert store.stage_groups() == ["data", "fit", "report"]
    assert store.always_run() == {"report"}


def test_groups_that_need_each_other_are_refused(repository: Project) -> None:
    stages = 'stages:\n  one: {foreach: [a, b], do: {cmd: x, deps: ["in${item}"], outs: ["one${item}"]}}\n'
    stages += '  two: {foreach: [a], do: {cmd: x, deps: ["onea"], outs: ["inb"]}}\n'
    (repository.root / "dvc.yaml").write_text(stages)
    with pytest.raises(UserError, match=r"(one, two|two, one) depend on each other"):
        DvcStore(repository.root).stage_groups()


def test_commit_and_lock(repository: Project, tmp_path: Path) -> None:
    answer = subprocess.run(
        ["git", "-C", str(repository.root), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    assert git_sha(repository.root) == answer.stdout.strip()
    assert len(str(lock_md5(repository.root))) == 32
    assert lock_md5(tmp_path) is None


def test_outside_a_repository(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="dvc init"):
        DvcStore(tmp_path / "empty").stage_groups()
