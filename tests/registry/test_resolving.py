import shutil
import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from registry_project import Project
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.config import load_params
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.store import SplitStore, load_labels
from sightline.pipeline.store import folder_md5
from sightline.registry.registration import promote
from sightline.registry.release import release
from sightline.registry.resolving import champion_version, resolve_model
from sightline.system.errors import UserError
from sightline.system.files import write_json
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model

GOOD, WORSE = range(0, 40, 4), range(0, 240, 4)


@pytest.fixture
def two(project: Project) -> Project:
    """Version 1 is champion, version 2 challenger and in the workspace."""
    project.make("one", GOOD)
    project.register()
    project.make("two", WORSE)
    project.register()
    return project


def weights(folder: Path) -> str:
    return (folder / "weights.safetensors").read_text()


def test_versions_come_out_of_the_registry_by_alias_and_number(two: Project) -> None:
    for text, number, alias, content in (
        ("digit@champion", "1", "champion", "one"),
        ("digit@challenger", "2", "challenger", "two"),
        ("digit/2", "2", None, "two"),
        ("models:/digit@champion", "1", "champion", "one"),
        ("models:/digit/1", "1", None, "one"),
    ):
        found = resolve_model(text, two.root)
        assert (found.name, found.version, found.alias, weights(found.folder)) == ("digit", number, alias, content)
        assert found.folder.parent == two.root / ".sightline/registry/digit"
        assert found.folder.name.startswith(f"{number}-")
    assert len(list((two.root / ".sightline/registry/digit").iterdir())) == 2  # nothing else is left
    one, other = (resolve_model(text, two.root).model_sha256 for text in ("digit/1", "digit/2"))
    assert one != other == resolve_model("digit", two.root).model_sha256


def test_folders_come_before_the_registry(two: Project, tmp_path: Path) -> None:
    found = resolve_model("digit", two.root)
    assert (found.name, found.version, weights(found.folder)) == ("digit", None, "two")
    shutil.copytree(found.folder, two.root / "digit" / "1")
    assert weights(resolve_model("digit/1", two.root).folder) == "two"
    assert weights(resolve_model("models:/digit/1", two.root).folder) == "one"
    assert resolve_model(str(two.root / "models" / "digit"), tmp_path).name == "digit"


def test_the_champion_is_polled_in_milliseconds(two: Project) -> None:
    assert champion_version("digit", two.root) == "1"
    start = time.perf_counter()
    for _ in range(10):
        champion_version("digit", two.root)
    assert time.perf_counter() - start < 3  # 10 ms each on an idle machine
    promote("digit", load_params(two.root / "params.yaml"), two.root, lambda line: None)
    assert champion_version("digit", two.root) == "2"
    assert resolve_model("digit@champion", two.root).version == "2"
    assert champion_version("cat", two.root) is None


def test_a_version_is_fetched_once_and_checked(two: Project) -> None:
    first = resolve_model("digit/1", two.root).folder
    stored = next(
        path for path in (two.root / "mlartifacts").rglob("weights.safetensors") if weights(path.parent) == "one"
    )
    stored.write_text("eno")
    assert weights(resolve_model("digit/1", two.root).folder) == "one"
    shutil.rmtree(first)
    with pytest.raises(UserError, match=r"^digit/1: its files are not those that were registered"):
        resolve_model("digit/1", two.root)
    assert list(first.parent.iterdir()) == []
    shutil.rmtree(two.root / "mlartifacts")
    with pytest.raises(UserError, match=r"^digit/1: its files are gone .*registers it again$"):
        resolve_model("digit/1", two.root)


def test_what_is_not_there_is_told_in_a_line(two: Project) -> None:
    for text, told in (
        ("digit@best", "digit@best: not in the registry, which has digit@challenger, digit@champion"),
        ("cat@champion", "cat@champion: no version of cat is registered; `sightline models`"),
        ("digit/7", "digit/7: the registry has no version 7 of digit"),
        ("models:/digit", "models:/digit: not a version in the registry"),
        ("somewhere", "somewhere: no model there (no model.json); give a model folder"),
        ("digti@champion", "digti@champion: no version of digti is registered (did you mean digit?)"),
        ("digti", "digti: no model there (no model.json) (did you mean digit?)"),
        ("reports", "reports: no model there"),
    ):
        with pytest.raises(UserError) as error:
            resolve_model(text, two.root)
        assert len(error.value.lines) == 1
        assert error.value.lines[0].startswith(told)
    shutil.rmtree(two.root / "models/digit")
    with pytest.raises(UserError, match=r"^digit: no model there .*; if it is being trained now, use digit@champion$"):
        resolve_model("digit", two.root)


def test_asking_makes_no_registry(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="digit: no registry yet"):
        resolve_model("digit@champion", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_hash_is_that_of_dvc(two: Project) -> None:
    folder = two.root / "models" / "digit"
    (folder / "extractor").mkdir()
    (folder / "extractor" / "x.json").write_text("{}")
    (folder / "extractor.json").write_text("{}")
    assert folder_md5(folder) == two.store.directory_md5(folder)


def test_a_registered_network_predicts_through_the_command_line(
    project: Project, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.make("one", GOOD)
    folder = project.root / "models" / "digit"
    config = TypeAdapter(TaskConfig).validate_python({"kind": "classification", "architecture": "mnist_cnn"})
    image = Input(size=28, channels=1)
    task = build(config, image, load_labels(digits))
    write_model(folder, task, ModelCard(config, image, task.labels, "32", False, 1, "0" * 64))
    project.cache(folder)
    write_json(project.root / "release" / "digit.json", release("digit", project.root))
    project.register()
    shutil.rmtree(project.root / "models")
    (project.root / "x.png").write_bytes(bytes(SplitStore(digits / "test").image(0)))
    monkeypatch.chdir(project.root)
    result = CliRunner().invoke(app, ["predict", "digit@champion", "x.png"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("x.png ")
    [kept] = (project.root / ".sightline/registry/digit").iterdir()
    assert (kept / "model.onnx").is_file()
