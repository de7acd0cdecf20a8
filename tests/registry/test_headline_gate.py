"""Any metric decides, and any other guards: releases in; ledger, MLflow and tables out."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from registry_project import Project
from rich.console import Console

from sightline.config.evaluation import Gate
from sightline.data.structures import LabelMap
from sightline.registry.gate import decide, guard_checks
from sightline.registry.grounds import GuardCheck, broken
from sightline.registry.history import history_table
from sightline.registry.ledger import Ledger
from sightline.registry.outcome_table import registry_table, table_rows
from sightline.system.errors import UserError
from sightline.tasks.metrics.by_kind import metrics_of

GOOD, BETTER = range(0, 240, 4), range(0, 80, 4)  # of 100 samples of class 0 60 and 20 are missed
LABELS = LabelMap(tuple("0123"), tuple("0123"))


def rows(labels: list[int], predicted: list[int], sure: float = 0.9) -> pd.DataFrame:
    count = len(labels)
    right = np.array(labels) == np.array(predicted)
    probabilities = np.full((count, 4), (1 - sure) / 3)
    probabilities[np.arange(count), predicted] = sure
    values = {"id": [f"{n:05d}" for n in range(count)], "label": labels, "predicted": predicted, "rank": 1 - right}
    return pd.DataFrame(values | {"probabilities": list(probabilities)})


def judged(old: pd.DataFrame, new: pd.DataFrame, metric: str, kind: str = "classification") -> Any:
    labels = LabelMap((), (), values=("width",)) if kind == "regression" else LABELS
    return decide(old, new, metric, lambda own: metrics_of(kind, own, labels), Gate(max_class_drop=1), 500, 0.95)


def rules(project: Project, gate: dict[str, Any], evaluation: dict[str, Any] | None = None) -> None:
    path = project.root / "params.yaml"
    text = re.sub(r"gate: .*", f"gate: {json.dumps(gate)}", path.read_text())
    path.write_text(re.sub(r"evaluation: .*", f"evaluation: {json.dumps(evaluation or {})}", text))


def table(what: Any, width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def test_the_headline_decides() -> None:
    """Recall of class 0 rises as precision of it falls: accuracy is worse, recall better."""
    labels = [number % 4 for number in range(400)]
    timid = [own or n % 8 // 4 for n, own in enumerate(labels)]  # half of class 0 is taken for class 1
    bold = [0 if own == 1 else own for own in labels]
    for metric, outcome, code in (("accuracy", "refuse", "worse"), ("recall_of_0", "promote", "better")):
        decision = judged(rows(labels, timid), rows(labels, bold), metric)
        assert (decision.outcome, decision.code) == (outcome, code), metric


def test_smaller_errors_are_gains() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 400).tolist()
    unsure, sure = (rows(labels, labels, own) for own in (0.6, 0.9))
    decision = judged(unsure, sure, "log_loss")
    assert (decision.outcome, decision.code) == ("promote", "better")
    assert decision.gain == pytest.approx(np.log(0.9 / 0.6))
    assert judged(sure, unsure, "log_loss").code == "worse"
    values = random.normal(10, 3, 300)
    near, far = (
        pd.DataFrame(
            {
                "id": [f"{n:04d}" for n in range(300)],
                "values": [[own] for own in values],
                "predicted_values": [
                    [own + error] for own, error in zip(values, random.normal(0, width, 300), strict=True)
                ],
            }
        )
        for width in (0.5, 1.0)
    )
    for metric in ("mae", "rmse_of_width"):
        better = judged(far, near, metric, "regression")
        assert (better.outcome, better.gain > better.low > 0) == ("promote", True)
        assert "gain +0." in better.reason
        assert judged(near, far, metric, "regression").code == "worse"


@pytest.mark.parametrize(
    ("metric", "bound", "value", "holds", "told"),
    [
        ("recall_of_defect", 0.98, 0.98, True, "recall_of_defect 0.9800 at least 0.98"),
        ("recall_of_defect", 0.98, 0.9799, False, "recall_of_defect 0.9799 below 0.98"),
        ("mae", 2.0, 1.5, True, "mae 1.5000 at most 2"),
        ("mae_of_width", 2.0, 2.5, False, "mae_of_width 2.5000 above 2"),
        ("precision_of_defect", 0.5, None, False, "precision_of_defect cannot be measured"),
    ],
)
def test_a_guard_has_a_direction(metric: str, bound: float, value: float | None, holds: bool, told: str) -> None:
    check = GuardCheck(metric=metric, bound=bound, value=value)
    assert (check.holds, check.told) == (holds, told)


def test_how_often_a_guard_lets_a_model_through() -> None:
    """The measured value keeps the floor: at the floor about half pass, two standard errors beside it 2 or 98 %.

    With 400 samples of a class and a floor of 0.9 a standard error is 0.015.
    """
    random = np.random.default_rng(3)
    labels = np.zeros(400, np.int64)
    passed = {}
    for recall in (0.86, 0.90, 0.93):
        kept = 0
        for _ in range(400):
            predicted = np.where(random.random(400) < recall, 0, 1)
            own = pd.DataFrame({"label": labels, "predicted": predicted, "rank": predicted})
            kept += not broken(
                guard_checks(own, metrics_of("classification", own, LABELS), {"recall_of_0": 0.9}, 100, 0.95)
            )
        passed[recall] = kept / 400
    assert passed[0.86] <= 0.03
    assert 0.42 <= passed[0.90] <= 0.62
    assert passed[0.93] >= 0.96


def test_a_guard_refuses_what_the_headline_would_promote(project: Project) -> None:
    rules(project, {"guards": {"recall_of_0": 0.9, "recall_of_3": 0.9}})
    project.make("one", range(0))
    assert project.register()[0].alias == "champion"
    rules(project, {})
    project.make("zero", GOOD)
    project.register()
    ledger = Ledger(project.root / "registry/ledger.jsonl")
    assert [(e.decision, e.code) for e in ledger.entries] == [("promote", "first"), ("refuse", "worse")]
    assert ledger.entries[0].guards[0].model_dump() == {
        "metric": "recall_of_0", "bound": 0.9, "value": 1.0, "low": None, "high": None
    }  # fmt: skip


def test_the_guard_is_asked_anew_when_it_changes(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    rules(project, {"guards": {"digit": {"recall_of_0": 0.9}, "accuracy": 0.5}})
    project.make("two", BETTER)
    outcome = project.register()[0]
    assert (outcome.decision, outcome.alias) == ("refuse", "challenger")
    refused = project.ledger()[-1]
    assert (refused["code"], refused["compared"]) == ("guard", 400)
    assert refused["gain"] == pytest.approx(0.1)
    assert [own["value"] for own in refused["guards"]] == pytest.approx([0.95, 0.8])
    assert outcome.reason.startswith("guard: recall_of_0 0.8000 [0.7")
    assert "below 0.9; `sightline promote digit` makes it champion anyway; although it is better" in outcome.reason
    shown = " ".join(table(registry_table(table_rows([outcome])), 200).split())
    assert "refused: breaks a guard, recall_of_0 0.8000 [0.7" in shown
    assert "below 0.9, +0.100 [+0." in shown
    assert shown.endswith("on 400")
    tags = project.client().get_model_version("digit", "2").tags
    assert (tags["gate.code"], tags["gate.metric"], float(tags["gate.gain"])) == (
        "guard",
        "accuracy",
        pytest.approx(0.1),
    )
    assert tags["gate.guards"] == "accuracy 0.95, recall_of_0 0.8"
    assert project.register()[0].decision == "kept"
    rules(project, {"guards": {"digit": {"recall_of_0": 0.75}}})
    assert project.register()[0].decision == "promote"
    assert project.aliases() == {"champion": "2"}


def test_a_first_version_below_a_guard_is_no_champion(project: Project) -> None:
    rules(project, {"guards": {"recall_of_0": 0.9}})
    project.make("one", GOOD)
    outcome = project.register()[0]
    assert (outcome.decision, outcome.alias) == ("refuse", "challenger")
    assert project.aliases() == {"challenger": "1"}
    assert "recall_of_0 0.4000" in outcome.short
    (project.root / ".sightline" / "registry.json").unlink()
    assert project.register()[0].decision == "kept"
    project.make("two", range(0))
    assert project.register()[0].reason == "first version"
    assert project.aliases() == {"champion": "2"}


def test_another_headline_is_another_question(project: Project) -> None:
    """The champion's old rows answer it; a model that was refused by one metric is judged by the other."""
    rules(project, {"max_class_drop": 1})
    project.make("one", range(2, 40, 4), metric="accuracy")
    project.register()
    project.make("two", [*range(0, 80, 4), *range(3)], metric="accuracy")
    assert project.register()[0].decision == "refuse"
    project.make("two", [*range(0, 80, 4), *range(3)], metric="recall_of_2")
    assert project.register()[0].decision == "promote"
    codes = [(line["code"], line["headline"]["name"]) for line in project.ledger()]
    assert codes == [("first", "accuracy"), ("worse", "accuracy"), ("better", "recall_of_2")]


@pytest.mark.parametrize(
    ("guards", "told"),
    [
        ({"recall_of_defekt": 0.9}, "gate.guards.recall_of_defekt: no metric 'recall_of_defekt'"),
        ({"digit": {"recall_of_33": 0.9}}, "gate.guards.digit: no metric 'recall_of_33' (did you mean recall_of_3?)"),
    ],
)
def test_a_guard_that_guards_nothing_is_an_error(project: Project, guards: Any, told: str) -> None:
    rules(project, {"guards": guards})
    project.make("one", GOOD)
    with pytest.raises(UserError) as error:
        project.register()
    assert error.value.lines[0].startswith(told)
    assert project.ledger() == []


def test_history_tells_codes_in_words_with_figures(project: Project) -> None:
    for weights, wrong in (
        ("one", GOOD),
        ("two", GOOD),
        ("three", BETTER),
        ("four", range(4, 84, 4)),
        ("five", range(0, 200, 4)),
    ):
        project.make(weights, wrong)
        project.register()
    entries = Ledger(Path(project.root / "registry/ledger.jsonl")).entries
    assert [entry.code for entry in entries] == ["first", "equal", "better", "within_noise", "worse"]
    lines = table(history_table(entries)).splitlines()
    assert len(lines) == 6, "a line each"
    assert "refused: equal, no difference on 400" in lines[2]
    assert re.search(r"promoted: better, \+0\.100 \[\+0\.0\d+, \+0\.1\d+\] on 400", lines[3])
    assert re.search(r"refused: within noise, \+0\.000 \[-0\.0\d+, \+0\.0\d+\] on 400", lines[4])
    assert entries[-1].losses[0].told == "class 0 0.800 to 0.500 on 100"
