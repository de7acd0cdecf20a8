"""Two clones of a project that share one MLflow: what each finds that the other has done."""

import shutil
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from registry_project import Project

from sightline.config import load_params
from sightline.registry.registration import promote
from sightline.registry.tracking import versions
from sightline.system.errors import UserError

GOOD, BETTER = range(0, 240, 4), range(0, 80, 4)


@pytest.fixture
def two(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, Project]:
    shared = shutil.copy(database, tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}")
    return Project(tmp_path / "first", database), Project(tmp_path / "second", database)


def state(tmp_path: Path) -> tuple[int, list[str], dict[str, str]]:
    """Return how many runs there are, the versions and the aliases."""
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'shared.db'}")
    found = [str(version.version) for version in client.search_model_versions("name='digit'")]
    runs = client.search_runs([client.get_experiment_by_name("sightline").experiment_id])
    aliases = client.get_registered_model("digit").aliases
    return len(runs), sorted(found), {alias: str(number) for alias, number in aliases.items()}


def bring_ledger(source: Project, target: Project) -> None:
    """Do what `git pull` would."""
    (target.root / "registry").mkdir(exist_ok=True)
    shutil.copy(source.root / "registry/ledger.jsonl", target.root / "registry/ledger.jsonl")


def test_a_second_clone_adds_nothing_and_an_older_ledger_moves_no_alias(
    two: tuple[Project, Project], tmp_path: Path
) -> None:
    first, second = two
    first.make("one", GOOD)
    first.register()
    second.make("one", GOOD)
    bring_ledger(first, second)
    assert second.register()[0].decision == "kept"
    assert state(tmp_path) == (1, ["1"], {"champion": "1"})
    first.make("two", BETTER)
    first.register()
    after = (2, ["1", "2"], {"champion": "2"})
    assert state(tmp_path) == after
    with pytest.raises(UserError, match=r"ledger\.jsonl: lacks the newest decision on digit .*git pull"):
        second.register()
    with pytest.raises(UserError, match="lacks the newest decision"):
        promote("digit", load_params(second.root / "params.yaml"), second.root, second.told.append)
    assert state(tmp_path) == after
    bring_ledger(first, second)
    second.make("two", BETTER)  # what `dvc pull` brings
    second.make("one", GOOD)
    assert second.register()[0].alias == "challenger"
    assert state(tmp_path) == (2, ["1", "2"], {"champion": "2", "challenger": "1"})


def test_two_who_register_at_once_make_one_version_and_one_run(
    two: tuple[Project, Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first comes between the second's look, which finds nothing, and its own version."""
    first, second = two
    for project in two:
        project.make("one", GOOD)
    save, other = versions._save_model, iter([first])

    def later(*arguments: Any) -> None:
        for project in other:
            project.register()
        save(*arguments)

    monkeypatch.setattr(versions, "_save_model", later)
    moments = iter(["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"])
    monkeypatch.setattr("sightline.registry.judgement.now", lambda: next(moments))
    assert second.register()[0].version == "1"
    assert next(other, None) is None, "the first was there"
    assert state(tmp_path) == (1, ["1"], {"champion": "1"})
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'shared.db'}")
    assert client.get_run(client.get_model_version("digit", "1").run_id).info.lifecycle_stage == "active"
    with pytest.raises(UserError, match="lacks the newest decision"):  # both decided: git has to join the ledgers
        first.register()


def test_a_server_that_does_not_answer_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:1")
    project.make("one", GOOD)
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        project.register()
    assert time.monotonic() - began < 30, "MLflow's own calls try for minutes"
    [line] = caught.value.lines
    assert line.startswith("digit: MLFLOW_TRACKING_URI: http://127.0.0.1:1 does not respond;")
