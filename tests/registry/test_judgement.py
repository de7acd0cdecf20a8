"""Models that cannot simply be compared: other classes, another task, another metric, a champion that fails."""

from pathlib import Path
from typing import Any

import pytest
from registry_project import PARAMS, Project, write_evaluation

from sightline.config import load_params
from sightline.registry.judgement import _incomparable, _no_better
from sightline.registry.registration import promote
from sightline.system.errors import UserError

GOOD, BETTER = range(0, 240, 4), range(0, 80, 4)


def test_other_classes_are_refused_with_both_maps_and_the_way_on(project: Project) -> None:
    second = "  digit:" + PARAMS.split("  digit:")[1].split("gate:")[0]
    text = PARAMS.replace("gate:", second.replace("digit:", "other:", 1) + "gate:").replace("LR", "0.001")
    (project.root / "params.yaml").write_text(text)
    project.make("one", GOOD)
    project.make("a", GOOD, name="other")
    project.register()
    project.make("two", BETTER, classes=["zero", "one", "two", "three", "four", "five", "six"])
    project.make("b", BETTER, name="other")
    digit, other = project.register()
    assert (digit.alias, digit.decision, other.decision) == ("challenger", "refuse", "promote")
    assert digit.reason == (
        "different classes: the champion's are 0, 1, 2, 3, the challenger's zero, one, two, three, four, ... (7 in "
        "all); they cannot be compared; `sightline promote digit` makes the challenger champion"
    )
    assert project.aliases() == {"champion": "1", "challenger": "2"}
    assert [outcome.decision for outcome in project.register()] == ["kept", "kept"]
    promote("digit", load_params(project.root / "params.yaml"), project.root, project.told.append)
    assert project.aliases() == {"champion": "2"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (list("abcdefgh"), list("abcdefgx"), "(id 7 was h, is x)"),
        (list("abc"), list("acb"), "champion's are a, b, c, the challenger's a, c, b; they"),
    ],
)
def test_the_difference_of_two_maps_is_shown(project: Project, old: list[str], new: list[str], told: str) -> None:
    project.make("one", GOOD, classes=old)
    project.register()
    project.make("two", BETTER, classes=new)
    assert told in project.register()[0].reason


def test_style_networks_that_measure_in_another_way_are_refused() -> None:
    task = {"kind": "style_network", "styles": ["sea.jpg"], "style_weight": 60.0, "width": 16}
    labels = {"classes": [], "source_ids": []}
    old = {"task": task, "labels": labels}
    assert _incomparable("painter", old, {"task": task | {"width": 8}, "labels": labels}) is None
    told = _incomparable("painter", old, {"task": task | {"style_weight": 6.0}, "labels": labels})
    assert told is not None
    assert told[0] == "other_task"
    assert told[1].startswith("measured in another way: style_weight is 60.0 for the champion, 6.0 for the challenger")


def test_another_task_is_refused(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER, task="regression")
    reason = project.register()[0].reason
    assert reason.startswith(
        "different task: classification for the champion, regression for the challenger; they cannot"
    )


def test_another_metric_needs_no_new_predictions(project: Project) -> None:
    project.make("one", GOOD, metric="macro_f1")
    project.register()
    project.make("two", BETTER)
    outcome = project.register()[0]
    assert outcome.decision == "promote"
    assert outcome.reason.startswith("better: gain +0.1000")


def test_a_metric_that_cannot_be_resampled_is_told(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER, metric="beauty")
    with pytest.raises(
        UserError,
        match=r"digit: beauty is not a metric that can be resampled; use one "
        "of accuracy, top5",
    ):
        project.register()


def test_a_champion_that_cannot_predict_names_the_way_on(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER, corrected=[1])

    def evaluate(*_: Any) -> None:
        raise UserError("model.json: format 0 is not known")

    with pytest.raises(UserError) as error:
        project.register(evaluate)
    assert error.value.lines[0] == "digit: the champion cannot predict the present test samples"
    assert error.value.lines[1] == "digit: model.json: format 0 is not known"
    assert "sightline promote digit" in error.value.lines[2]


def test_data_that_moved_on_is_an_error_not_a_traceback(project: Project) -> None:
    project.make("one", GOOD)
    project.register()
    project.make("two", BETTER, corrected=[1])

    def evaluate(model: Path, prepared: Path, settings: Any, folder: Path) -> None:
        write_evaluation(folder, GOOD, [f"s{number:05d}" for number in range(200)])

    with pytest.raises(UserError, match=r"digit: .*different samples; run `dvc repro`"):
        project.register(evaluate)


def test_a_champion_without_an_error_cannot_be_exceeded_and_the_refusal_says_so(project: Project) -> None:
    project.make("one", range(0))
    project.register()
    project.make("two", range(1))
    outcome = project.register()[0]
    assert outcome.decision == "refuse"
    assert outcome.reason.startswith("within noise: gain -0.0025")
    assert "the champion has no error on them (accuracy 1), so no model can be better" in outcome.reason
    assert outcome.reason.endswith("add test images, or `sightline promote digit`")


def test_other_refusals_have_no_such_hint() -> None:
    assert _no_better({"accuracy": 0.99}, "accuracy", "digit") == ""
    assert _no_better({"psnr": 1.0}, "psnr", "painter") == ""
    assert "such as log_loss" in _no_better({"accuracy": 1.0, "top5": 1.0, "log_loss": 0.1}, "accuracy", "digit")
    assert "(missed 0)" in _no_better({"missed": 0.0}, "missed", "head")
