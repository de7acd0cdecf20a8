import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from registry_project import Project, png
from warm_python import warm_python

from sightline.config import load_params
from sightline.registry.outcomes import last_outcomes
from sightline.registry.registration import rollback
from sightline.system.errors import UserError

STAGE = Path(__file__).parents[2] / "pipelines" / "register.py"
GOOD, BETTER = range(0, 240, 4), range(0, 80, 4)  # class 0 is missed 60 and 20 times of 400


def run_stage(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([warm_python(), str(STAGE)], cwd=root, check=False, capture_output=True, text=True)


def decisions(project: Project) -> list[str]:
    return [line["decision"] for line in project.ledger()]


def test_the_first_version_becomes_champion_and_a_second_register_adds_nothing(project: Project) -> None:
    project.make("one", GOOD)
    outcome = project.register()[0]
    assert (outcome.version, outcome.alias, outcome.decision) == ("1", "champion", "promote")
    assert outcome.headline_text() == "accuracy 0.850 [0.830, 0.870]"
    version = project.client().get_model_version("digit", "1")
    released = project.ledger()[0]
    assert version.tags["dvc.md5"] == released["model_md5"]
    assert version.tags["git.sha"] == released["git_sha"]
    told = {"decision", "reason", "code", "metric", "gain", "low", "high", "guards"}
    assert set(version.tags) == {"dvc.md5", "git.sha", "dvc.lock.md5", *(f"gate.{one}" for one in told)}
    assert version.description == "accuracy 0.850 [0.830, 0.870]; promote: first version"
    (project.root / ".sightline" / "registry.json").unlink()  # the whole way, not the memo
    for _ in range(2):
        again = project.register()[0]
        assert (again.version, again.alias, again.decision) == ("1", "champion", "kept")
        assert (project.versions(), project.runs(), decisions(project)) == (["1"], 1, ["promote"])
    assert last_outcomes(project.root) == [again]


def test_better_is_promoted_and_equal_is_not(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", GOOD)
    outcome = project.register()[0]
    assert (outcome.version, outcome.alias, outcome.decision) == ("2", "challenger", "refuse")
    assert outcome.reason == "equal: no difference on 400 samples"
    assert project.client().get_model_version("digit", "2").tags["gate.reason"] == outcome.reason
    assert project.aliases() == {"champion": "1", "challenger": "2"}
    project.make("three", BETTER)
    outcome = project.register()[0]
    assert (outcome.version, outcome.alias, outcome.decision) == ("3", "champion", "promote")
    assert project.aliases() == {"champion": "3"}
    last = project.ledger()[-1]
    assert last["low"] > 0
    assert last["gain"] == pytest.approx(0.1)
    assert last["promotions_on_test_set"] == 1


def test_within_noise_is_refused_and_a_class_that_suffers_is_a_veto(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", GOOD[:-1])
    outcome = project.register()[0]
    assert outcome.decision == "refuse"
    assert outcome.reason.startswith("within noise: gain +0.0025 [")
    project.make("three", range(3, 43, 4))  # no class 0 missed, but a tenth of class 3
    outcome = project.register()[0]
    assert outcome.decision == "refuse"
    assert outcome.reason.startswith("vetoed: recall of class 3 falls from 1.000 to 0.900 on 100 samples")
    assert project.aliases() == {"champion": "1", "challenger": "3"}


def test_a_change_taken_back_makes_no_third_version(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER)
    project.register()
    project.make("one", GOOD)
    outcome = project.register()[0]
    assert (outcome.version, outcome.alias, outcome.decision) == ("1", "challenger", "refuse")
    project.make("two", BETTER)
    assert project.register()[0].decision == "kept"
    assert (project.versions(), project.runs()) == (["1", "2"], 2)
    assert project.aliases() == {"champion": "2"}
    assert decisions(project) == ["promote", "promote", "refuse"]


def test_of_other_test_samples_those_count_that_both_know(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER, count=480)
    outcome = project.register()[0]
    assert outcome.decision == "promote"
    assert outcome.reason.endswith("; compared on 400 of 480 test samples: those that the champion was tested on")
    assert project.ledger()[-1]["compared"] == 400
    assert project.ledger()[-1]["promotions_on_test_set"] == 0


def test_a_lost_database_is_made_again_without_a_new_decision(project: Project) -> None:
    project.make("one", BETTER)
    project.register()
    project.make("two", GOOD)
    assert project.register()[0].decision == "refuse"
    ledger = (project.root / "registry" / "ledger.jsonl").read_bytes()
    champion = project.ledger()[0]["model_md5"]
    (project.root / "mlflow.db").unlink()
    shutil.rmtree(project.root / "mlartifacts")
    done = run_stage(project.root)
    assert done.returncode == 0, done.stderr
    assert "restored from DVC's cache" in done.stdout
    assert (project.root / "registry" / "ledger.jsonl").read_bytes() == ledger
    code = (
        "import mlflow; c = mlflow.MlflowClient('sqlite:///mlflow.db')\n"
        "v = c.get_model_version_by_alias('digit', 'champion'); print(v.tags['dvc.md5'])\n"
        "print(v.tags['git.sha'], len(c.search_runs([c.get_experiment_by_name('sightline').experiment_id])))\n"
        "print(c.get_model_version_by_alias('digit', 'challenger').tags['gate.decision'])"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=project.root, check=True, capture_output=True, text=True)
    assert answer.stdout.split() == [champion, project.ledger()[0]["git_sha"], "2", "refuse"]


def test_lost_artifacts_are_made_again(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    shutil.rmtree(project.root / "mlartifacts")
    outcome = project.register()[0]
    assert (outcome.alias, outcome.decision, project.aliases()) == (
        "champion",
        "kept",
        {"champion": outcome.version},
    )
    assert decisions(project) == ["promote"]


def test_a_crash_after_the_decision_is_healed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sightline.registry.tracking.Versions.set_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            project.register()
    assert project.aliases() == {"champion": "1"}
    assert decisions(project) == ["promote", "promote"]
    assert project.register()[0].decision == "kept"
    assert project.aliases() == {"champion": "2"}
    assert decisions(project) == ["promote", "promote"]


def test_an_alias_moved_by_hand_follows_the_ledger_again(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER)
    project.register()
    project.client().set_registered_model_alias("digit", "champion", "1")
    project.register()
    assert project.aliases() == {"champion": "2"}


def test_the_champion_is_lost_from_the_cache(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER)
    shutil.rmtree(project.root / ".dvc" / "cache")
    with pytest.raises(UserError) as error:
        project.register()
    text = "\n".join(error.value.lines)
    assert "digit: digit's champion (" in text
    assert "dvc gc" in text
    assert "git_sha" in text
    assert decisions(project) == ["promote"]
    assert project.aliases() == {"champion": "1"}


def test_files_that_are_not_the_released_ones_are_not_registered(project: Project) -> None:
    project.make("one", GOOD)
    (project.root / "models" / "digit" / "weights.safetensors").write_text("by hand")
    with pytest.raises(UserError, match="differs from release/digit"):
        project.register()
    assert project.ledger() == []


def test_an_experiment_registers_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.make("one", GOOD)
    monkeypatch.setenv("DVC_EXP_NAME", "tall-tree")
    assert project.register() == []
    assert "nothing is registered" in project.told[0]
    assert project.ledger() == []
    assert project.runs() == 0


def test_a_release_of_a_removed_model_is_left_alone(project: Project) -> None:
    project.make("one", GOOD, name="old")
    assert project.register() == []


def test_rollback_and_what_was_rolled_back_stays_out(project: Project) -> None:
    params = load_params(project.root / "params.yaml")
    project.make("one", GOOD)
    project.register()
    with pytest.raises(UserError, match="no earlier champion"):
        rollback("digit", params, project.root, project.told.append)
    project.make("two", BETTER)
    project.register()
    assert rollback("digit", params, project.root, project.told.append).number == "1"
    assert project.aliases() == {"champion": "1"}
    outcome = project.register()[0]
    assert (outcome.alias, outcome.decision) == ("challenger", "kept")
    assert project.aliases() == {"champion": "1", "challenger": "2"}
    assert decisions(project) == ["promote", "promote", "rollback"]


def test_the_stage_prints_a_table_and_needs_no_mlflow_when_nothing_is_new(project: Project) -> None:
    assert run_stage(project.root).stdout == ""
    project.make("one", GOOD)
    first = run_stage(project.root)
    assert first.returncode == 0, first.stderr
    assert "v1 champion  promoted: first" in first.stdout
    shutil.move(project.root / "mlartifacts", project.root / "away")  # no bytes to answer from ...
    shutil.move(project.root / "away", project.root / "mlartifacts")
    blocked = project.root / "blocked" / "mlflow.py"
    blocked.parent.mkdir()
    blocked.write_text("raise ImportError('not needed')")
    command = [sys.executable, str(STAGE)]
    paths = os.pathsep.join(filter(None, (str(blocked.parent), os.environ.get("PYTHONPATH"))))
    path = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}
    second = subprocess.run(command, cwd=project.root, env=path, check=False, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "v1 champion  promoted: first version" in second.stdout


def test_the_champion_answers_without_pickle(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    import mlflow
    import pandas as pd

    class Predictor:
        def __init__(self, folder: Path, *_: Any) -> None:
            assert (folder / "weights.safetensors").read_text() == "one"

        def predict(self, images: list[bytes]) -> list[dict[str, Any]]:
            assert all(image == png() for image in images)
            return [{"label": "7", "label_id": 7, "confidence": 0.9, "probabilities": {"7": 0.9}} for _ in images]

    module = types.ModuleType("sightline.evaluation.predictor")
    module.load_predictor = Predictor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sightline.evaluation.predictor", module)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    project.make("one", GOOD)
    project.register()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/digit@champion")
    table = pd.DataFrame({"image": [png(), png()]})
    answer = model.predict(table)
    assert list(answer.columns) == ["prediction", "label", "label_id", "confidence", "probabilities"]
    assert answer["label"].tolist() == ["7", "7"]
    assert model.predict({"image": [png(), png(), png()]})["confidence"].tolist() == [0.9] * 3
    inner = model.unwrap_python_model()
    assert inner.predict(None, png())["label_id"].tolist() == [7]
    assert len(inner.predict(None, [png(), png()])) == 2
    with pytest.raises(TypeError, match="str"):
        inner.predict(None, ["/etc/passwd"])


def test_a_model_whose_onnx_file_differs_is_not_released(project: Project) -> None:
    project.make("one", GOOD)
    released = project.root / "release" / "digit.json"
    before = released.read_bytes()
    file = project.root / "reports/digit/evaluation/metrics.json"
    metrics = json.loads(file.read_text())
    apart = {
        "headline": 0.5,
        "headline_difference": 0.35,
        "largest_output_difference": 7.0,
        "same": 0.6,
        "agrees": False,
    }
    file.unlink()  # a link into DVC's cache
    file.write_text(json.dumps(metrics | {"onnx": apart}))
    card = project.root / "data/prepared/digits/card.json"
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text('{"batches": []}')
    script = STAGE.with_name("release.py")
    done = subprocess.run(
        [warm_python(), str(script), "digit"], cwd=project.root, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "digit: model.onnx differs from the network it was exported from: accuracy 0.5000 instead of"
    )
    assert len(done.stderr.splitlines()) == 1
    assert released.read_bytes() == before
