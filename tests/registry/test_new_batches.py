"""A batch cannot bless itself: models are judged on the test samples from before it, and a harmful one is blamed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from registry_project import PARAMS, Project, write_evaluation

from sightline.data.store import SplitStore

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


def test_samples_whose_labels_have_changed_do_not_count(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", range(0, 40, 4))
    evaluation = project.root / "reports/digit/evaluation"
    table = pq.read_table(evaluation / "predictions.parquet").to_pandas()
    table.loc[:99, "label"] = (table.loc[:99, "label"] + 1) % 4
    table["score"] = (table["label"] == table["predicted"]).astype(np.float64)
    table.to_parquet(evaluation / "predictions.parquet", index=False)
    seen: list[int] = []

    def evaluate(model: Path, prepared: Path, settings: Any, folder: Path) -> None:
        ids = SplitStore(prepared / "test").ids
        seen.append(len(ids))
        write_evaluation(folder, [], ids)

    project.cache(evaluation)
    from sightline.files import write_json
    from sightline.release import release

    write_json(project.root / "release/digit.json", release("digit", project.root))
    assert "judged on 300 of 400 test samples" in project.register(evaluate)[0].reason + project.ledger()[-1]["reason"]
    assert seen == [300, 300]


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
    assert outcome.reason.endswith("judged on 400 of 480 test samples: those of no batch that is new to the champion")
    assert seen == [400, 400]
