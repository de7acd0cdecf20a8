"""A batch cannot bless itself: models are judged on the test samples from before it, and a harmful one is blamed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from registry_project import PARAMS, Project, write_evaluation

from sightline.data.store import SplitStore
from sightline.registry.release import release
from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json

GOOD, SAME, POISONED = range(0, 240, 4), range(4, 244, 4), range(0, 320)
OLD = 400


class Predicts:
    """Stands for the evaluation: each model's wrong samples, by its weights."""

    def __init__(self, **wrong: Sequence[int]) -> None:
        self.wrong = wrong

    def __call__(self, model: Path, prepared: Path, settings: Any, folder: Path) -> None:
        weights = (model / "weights.safetensors").read_text()
        write_evaluation(folder, self.wrong[weights], SplitStore(prepared / "test").ids)


def test_what_a_batch_has_taught_does_not_count(project: Project) -> None:
    """The new samples make the challenger 0.87 against 0.50, those from before tell the truth."""
    project.make("one", GOOD)
    project.register()
    project.make("two", POISONED, count=2400, batches=["20261127-aaaaaaaa"])
    outcome = project.register(Predicts(one=[*GOOD, *range(OLD, 2400, 2)], two=POISONED))[0]
    assert outcome.decision == "refuse"
    assert outcome.reason.startswith("worse: gain -0.6500")
    assert "recall of class 1 falls from 1.000 to 0.200 on 100 samples" in outcome.reason
    entry = project.ledger()[-1]
    assert entry["compared"] == OLD
    assert entry["batches"] == entry["blamed_batches"] == ["20261127-aaaaaaaa"]
    assert project.aliases() == {"champion": "1", "challenger": "2"}


def test_a_batch_that_did_no_harm_is_not_blamed_later(project: Project) -> None:
    project.make("one", GOOD, batches=["first"])
    project.register()
    predicts = Predicts(one=GOOD, two=SAME, three=POISONED, four=POISONED)
    project.make("two", SAME, count=480, batches=["first", "second"])
    assert project.register(predicts)[0].reason.startswith("within noise")
    project.make("three", POISONED, count=560, batches=["first", "second", "third"])
    assert project.register(predicts)[0].reason.startswith("worse")
    project.make("four", POISONED, count=480, batches=["first", "second"])  # say, by another learning rate
    project.register(predicts)
    assert [entry["blamed_batches"] for entry in project.ledger()] == [[], [], ["third"], []]


@pytest.mark.parametrize(("rule", "blamed"), [("worse", []), ("refused", ["second"])])
def test_the_rules_say_when_a_batch_is_withdrawn(project: Project, rule: str, blamed: list[str]) -> None:
    project.make("one", GOOD)
    project.register()
    text = PARAMS.replace("LR", "0.001").replace("gate: {", f"gate: {{withdraw_batches: {rule}, ")
    (project.root / "params.yaml").write_text(text)
    project.make("two", SAME, count=480, batches=["second"])
    assert project.register(Predicts(one=GOOD, two=SAME))[0].decision == "refuse"
    assert project.ledger()[-1]["blamed_batches"] == blamed


def test_corrected_annotations_make_the_champion_predict_anew(project: Project) -> None:
    """On the old truth the champion had 0.90; on the corrected one it has 0.70, and the challenger's 0.60 is worse."""
    project.make("one", range(40))
    project.register()
    corrected = range(40, 120)
    seen: list[int] = []

    def evaluate(model: Path, prepared: Path, settings: Any, folder: Path) -> None:
        ids = SplitStore(prepared / "test").ids
        seen.append(len(ids))
        write_evaluation(folder, range(40), ids, corrected=corrected)

    project.make("two", range(160, 320), corrected=corrected)
    outcome = project.register(evaluate)[0]
    assert outcome.decision == "refuse"
    assert outcome.reason.startswith("worse: gain -0.3000")
    assert outcome.reason.endswith("; 80 of them against corrected annotations")
    assert (seen, project.ledger()[-1]["compared"]) == ([400], 400)
    assert project.ledger()[0]["test_ids"] != project.ledger()[1]["test_ids"]


def test_a_batch_cannot_change_the_truth_of_what_was_there(project: Project) -> None:
    """Old samples that come back with another truth, as part of a new batch, do not count."""
    project.make("one", range(40), count=480, batches=["first"])
    project.register()
    relabelled = range(400, 480)  # the stand-in's samples from 400 on are of the last batch
    project.make("two", range(400), count=480, batches=["first", "second"], corrected=relabelled)
    outcome = project.register()[0]
    assert outcome.reason.startswith("worse: gain -0.9000")
    assert outcome.reason.endswith("compared on 400 of 480 test samples: those that the champion was tested on")


def test_an_evaluation_from_before_truth_was_hashed(project: Project) -> None:
    project.make("one", range(40))
    evaluation = project.root / "reports/digit/evaluation"
    table = pq.read_table(evaluation / "predictions.parquet")
    pq.write_table(table.drop_columns(["truth"]), evaluation / "predictions.parquet")
    project.cache(evaluation)
    with pytest.raises(UserError, match=r"predictions\.parquet: no column truth, .* run `dvc repro -f evaluate@digit`"):
        release("digit", project.root)
    path = project.root / "release/digit.json"
    write_json(path, read_json(path) | {"evaluation_md5": project.store.directory_md5(evaluation)})
    project.register()
    project.make("two", range(160))
    outcome = project.register(Predicts(one=range(40)))[0]
    assert outcome.reason.startswith("worse: gain -0.3000")
    assert any("the champion predicts 400 test samples again" in line for line in project.told)


def test_another_test_split_is_judged_without_new_batches(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    seen: list[int] = []

    def evaluate(model: Path, prepared: Path, settings: Any, folder: Path) -> None:
        ids = SplitStore(prepared / "test").ids
        seen.append(len(ids))
        write_evaluation(folder, GOOD if "one" in (model / "weights.safetensors").read_text() else range(80), ids)

    project.make("two", range(80), count=480, batches=["second"], prefix="t")
    outcome = project.register(evaluate)[0]
    assert outcome.reason.endswith(
        "compared on 400 of 480 test samples: those without batches that are new to the champion"
    )
    assert seen == [400]
