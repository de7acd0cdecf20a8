"""Three sentences on the best models: true to the evaluation, without a gain that nobody estimated."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from page_project import make_project, outcome
from test_pages import FAST, KINDS, Parsed, page_of, some_project

from sightline.config import Params, load_params
from sightline.data.raw.findings import KINDS as FINDINGS
from sightline.evaluation.report import read_table
from sightline.operations.advice import Candidate, advise_on
from sightline.operations.advice.words import sentences
from sightline.operations.pages import make_pages, short_verdicts
from sightline.operations.pages.next_steps import next_steps
from sightline.operations.pages.sources import model_sources
from sightline.operations.pages.verdict import Verdict, verdicts
from sightline.operations.pages.weak_spots import WeakSpots, of_100
from sightline.pipeline.notes import DURATIONS
from sightline.registry.ledger import Ledger
from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, digits: Path, scenes: Path) -> Path:
    root = tmp_path_factory.mktemp("verdicts") / "project"
    cnn = {"kind": "classification", "architecture": "mnist_cnn"}
    make_project(root, {"one": (cnn, digits, 28, 1), "two": (cnn, digits, 28, 1)})
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A project with two untrained classifiers, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "project"))


def verdict_of(root: Path) -> Verdict:
    [verdict] = short_verdicts(load_params(root / "params.yaml"), root)
    return verdict


def answer(root: Path, name: str, wrong: dict[int, tuple[int, int]]) -> None:
    """Let a classifier be right on all images but some of a class: class -> predicted class and number."""
    folder = root / "reports" / name / "evaluation"
    rows = pd.read_parquet(folder / "predictions.parquet")
    rows["predicted"] = rows["label"]
    for label, (other, count) in wrong.items():
        rows.loc[rows.index[rows["label"] == label][:count], "predicted"] = other
    rows["score"] = (rows["label"] == rows["predicted"]).astype(float)
    rows.to_parquet(folder / "predictions.parquet")
    metrics, accuracy = read_json(folder / "metrics.json"), float(rows["score"].mean())
    headline = {"name": "accuracy", "value": accuracy, "low": accuracy - 0.02, "high": min(1.0, accuracy + 0.02)}
    write_json(folder / "metrics.json", {**metrics, "headline": headline, "accuracy": accuracy})


def test_an_untrained_model_does_not_work(root: Path) -> None:
    verdict = verdict_of(root)
    assert not verdict.good
    assert "is no better than always answering the most frequent class" in verdict.works
    assert verdict.among == 2
    assert verdict.steps[0].startswith("Let it learn first")


def test_the_best_model_and_its_worst_class(root: Path) -> None:
    answer(root, "one", {5: (6, 20), 6: (5, 20)})
    answer(root, "two", {3: (8, 12)})
    verdict = verdict_of(root)
    rows = pd.read_parquet(root / "reports/two/evaluation/predictions.parquet")
    share, threes = rows["score"].mean(), int((rows["label"] == 3).sum())
    assert verdict.model == "two"
    assert verdict.works == (
        f"It distinguishes 10 classes: right in {len(rows) - 12} of {len(rows)} test images it never saw "
        f"({100 * share - 2:.0f} to {100 * share + 2:.0f} %)."
    )
    assert verdict.fails == (
        f"“3” is right in only {threes - 12} of {threes} images, of all classes {100 * share:.0f} of 100; "
        f"it is confused with “8” in 12 of {threes}."
    )
    assert verdict.weak
    wrong = set(rows.loc[rows["score"] == 0, "source"])
    assert len({shown.alt.split(": ")[0] for shown in verdict.pictures} & wrong) == 3
    assert verdict.steps[0].startswith("Check the labels of “3” and add images of it; it has ")
    assert "not estimated" in verdict.steps[0]
    shutil.rmtree(root / "data/prepared")  # pages of a project without its data
    assert verdict_of(root).pictures == []


def test_a_difference_within_chance_is_not_told(root: Path) -> None:
    answer(root, "one", {3: (8, 2)})
    verdict = verdict_of(root)
    assert verdict.fails == "No class is worse than the others beyond chance."
    assert not verdict.weak
    assert verdict.pictures == []


def test_names_are_escaped_and_the_page_has_it_all(root: Path) -> None:
    answer(root, "one", {3: (8, 15)})
    answer(root, "two", {})
    table = root / "reports/one/evaluation/per_class.csv"
    table.write_text(
        "\n".join(
            line.replace("3,", "<b>x</b>,", 1) if line[0] == "3" else line for line in table.read_text().splitlines()
        )
    )
    params = load_params(root / "params.yaml")
    one = params.model_copy(update={"models": {"one": params.models["one"]}})
    make_pages(one, root, [outcome(root, "one")])
    page = (root / "reports/index.html").read_text(encoding="utf-8")
    assert "<b>x" not in page
    text = Parsed(page).text()
    assert "What works It distinguishes 10 classes" in text
    assert "“<b>x</b>” is right in only" in text
    assert page.count('href="one/index.html#errors"') == 3
    assert 'id="errors"' in page_of(root, "one")
    before = page
    assert make_pages(one, root, [outcome(root, "one")], force=True) == ["one"]
    assert (root / "reports/index.html").read_text(encoding="utf-8") == before


def test_a_head_that_is_as_good_is_named(root: Path) -> None:
    """Both models of the project are networks; one of them is taken for a head over fixed features here."""
    answer(root, "one", {3: (8, 3)})
    answer(root, "two", {5: (6, 2)})
    peers = (Candidate("one", "head"), Candidate("two", "network"))
    found = [
        replace(model_sources(name, "digits", f"release@{name}", root, [], Ledger(root / "ledger.jsonl")), peers=peers)
        for name in ("one", "two")
    ]
    [verdict] = verdicts(found, None)
    assert verdict.model == "two"
    assert verdict.chosen() == (
        ", the best of 2; one, a head that is fitted in a fraction of the time, is as good within chance"
    )
    answer(root, "one", {3: (8, 30), 4: (8, 30), 7: (8, 30)})
    [verdict] = verdicts(found, None)
    assert verdict.chosen() == ", the best of 2"


def steps(root: Path, weak: WeakSpots, **metrics: Any) -> list[str]:
    peers = (Candidate("one", "head"),)
    sources = model_sources("one", "digits", "release@one", root, [], Ledger(root / "registry/ledger.jsonl"), peers)
    headline = {"name": "accuracy", "value": 0.9, "low": 0.89, "high": 0.92}
    return [step.words for step in next_steps(sources, {"headline": headline, "samples": 100, **metrics}, weak)]


def test_what_to_do_next_in_its_order(root: Path) -> None:
    training, card = root / "reports/one/training/training.json", root / "data/prepared/digits/card.json"
    known = read_json(card)
    card.unlink()
    known["counts"]["train"]["3"] = 20
    write_json(card, {**known, "quarantined": 900, "findings": {"near_duplicate": {"count": 7}}})
    write_json(training, {"trainer.sampling": "shuffled", "input.size": 4})
    sizes = {"mAP_small": 0.2, "mAP_medium": 0.5, "mAP_large": 0.4}
    wide = {"name": "accuracy", "value": 0.9, "low": 0.85, "high": 0.95}
    found = steps(root, WeakSpots("", ["3"], [("photograph", "china")]), **sizes, headline=wide)
    assert [words.split()[0:2] for words in found] == [
        ["Look", "at"],
        ["Look", "at"],
        ["Train", "with"],
        ["Check", "the"],
        ["Try", "an"],
        ["Add", "training"],
        ["Add", "test"],
    ]
    assert found[0].startswith("Look at the 7 images of val or test that are nearly the same as one that is learned")
    assert "“3” is rare (20 training images" in found[2]
    assert "about 400 would narrow that to 5" in found[-1]  # twice as narrow with four times as many
    assert not any("should gain" in words for words in found)


@pytest.mark.parametrize(
    ("low", "told"),
    [
        (0.944, "within 6 points with 57; about 72 would narrow that to 5."),
        (0.947, "within 5.3 points with 57; about 65 would narrow that to 5.0."),
    ],
)
def test_test_images_narrow_an_interval_to_another_figure(root: Path, low: float, told: str) -> None:
    headline = {"name": "accuracy", "value": 1.0, "low": low, "high": 1.0}
    assert steps(root, WeakSpots(""), headline=headline, samples=57)[-1].endswith(told)


def test_a_gain_is_told_where_a_learning_curve_estimates_it(root: Path) -> None:
    def curve(**gain: Any) -> dict[str, Any]:
        return {"twice_the_data": {"gain": 0.02, "low": 0.01, "high": 0.03, **gain}}

    def told(*classes: float, **changes: Any) -> list[str]:
        each = [
            {"class": f"class {rank}", "train_images": 9, "recall": 0.5, **curve(gain=gain)}
            for rank, gain in enumerate(classes)
        ]
        rest = {"train_images": 50, "accuracy": 0.8, "confidence": 0.95, "most_learned": 99, "curve": []}
        write_json(path, {**rest, **curve(), "classes": each, **changes})
        return steps(root, WeakSpots("", ["3"]), task="classification", **own)

    path, own = root / "reports/one/training/learning_curve.json", dict[str, Any]()
    found = told(0.08, 0.05)
    assert found[0] == (
        "Double the training images of every class: by the learning curve of the head one, the head's accuracy should "
        "gain +2.0 points (+1.0 to +3.0), recall most for “class 0” by +8.0 points (+1.0 to +3.0)."
    )
    assert found[1].startswith("Check the labels of “3”")
    advised = sentences(advise_on(root, "digits", [Candidate("one", "head")]))[0]
    assert "Class class 0 gains most" in advised  # the same class as here
    assert told(0.025, 0.02)[0].endswith("(+1.0 to +3.0).")  # no class is clearly ahead
    assert "gains most" not in sentences(advise_on(root, "digits", [Candidate("one", "head")]))[0]
    own = {"headline": {"name": "accuracy", "value": 1.0, "low": 0.98, "high": 1.0}}
    assert told(0.02)[0].endswith("one makes no error on its test images, so they cannot show a gain.")
    for changes in (curve(low=-0.001), {"reason": "too few"}):
        assert not any("should gain" in words for words in told(0.08, **changes))
    with pytest.raises(UserError, match=r"learning_curve\.json: damaged"):
        told(0.08, **curve(low="much"))


def test_without_errors_the_least_confident_images_are_shown(root: Path) -> None:
    answer(root, "one", {})
    make_pages(load_params(root / "params.yaml"), root, [])
    text = Parsed(page_of(root, "one")).text()
    assert "Worst images" not in text
    rows = pd.read_parquet(root / "reports/one/evaluation/predictions.parquet")
    sure = [own[label] for own, label in zip(rows["probabilities"], rows["label"], strict=True)]
    least = rows["source"].iloc[int(pd.Series(sure).argmin())]
    shown = text.split("No errors: the least confident images")[1]
    assert shown.split("probability of the true class ")[1].startswith(least)


def test_near_copies_are_a_caution_next_to_the_score(root: Path) -> None:
    assert not any("caution" in line for line in verdict_of(root).lines())
    card = root / "data/prepared/digits/card.json"
    known = read_json(card)
    card.unlink()
    found = {"left_out": "kept", "count": 7, "first": [{"source": "a", "reason": "b"}]}
    write_json(card, {**known, "format": "image_folder", "findings": {"near_duplicate": found}})
    caution = "The score may be too good: 7 images of val or test are nearly the same as one of another split."
    assert f"  caution: {caution}" in verdict_of(root).lines()
    make_pages(load_params(root / "params.yaml"), root, [])
    text = Parsed(page_of(root, "one")).text()
    assert text.index(caution) < text.index("Results Metrics")
    assert "if there are folders train, val and test, move both into one of them" in text
    assert "group" not in FINDINGS["near_duplicate"].remedy_for("image_folder")
    assert "`group`" in FINDINGS["near_duplicate"].remedy_for("csv")


def test_nothing_to_do_where_nothing_is_wrong(root: Path) -> None:
    (root / "reports/one/training/training.json").unlink()
    assert steps(root, WeakSpots("")) == []
    assert steps(root, WeakSpots(""), headline={"name": "psnr", "value": 20.0, "low": 10.0, "high": 30.0}) == []


def test_shares_are_not_rounded_to_all_or_nothing() -> None:
    assert [of_100(share) for share in (0, 0.004, 0.5, 0.994, 0.998, 1)] == ["0", "0.4", "50", "99", "99.8", "100"]


def test_times_are_shown_and_pages_stay_until_they_change(root: Path) -> None:
    params = load_params(root / "params.yaml")
    make_pages(params, root, [])
    assert "took" not in Parsed(page_of(root, "one")).text()
    noted = {"seconds": 780.0, "expected": 720.0, "ended": time.time(), "settings": ""}
    write_json(root / DURATIONS / "train@one.json", noted)
    write_json(root / DURATIONS / "evaluate@one.json", {**noted, "seconds": 60.0})
    assert make_pages(params, root, []) == ["one"]
    assert (
        "2 epochs; the weights of epoch 2 were kept. Training took 13 min, expected were 12 min."
        in Parsed(page_of(root, "one")).text()
    )
    assert (
        "The stages that made these models took 14 min, without DVC and these pages."
        in Parsed((root / "reports/index.html").read_text()).text()
    )
    write_json(root / DURATIONS / "register.json", noted)
    assert make_pages(params, root, []) == []
    write_json(root / DURATIONS / "train@one.json", {**noted, "resumed": True})
    make_pages(params, root, [])
    assert "Training took 13 min after it was resumed." in Parsed(page_of(root, "one")).text()


def check_kind(root: Path, params: Params) -> None:
    """Each kind gets its sentences, which name its metric and nothing that is not in its tables."""
    found = {verdict.model: verdict for verdict in short_verdicts(params, root)}
    for name in params.models:
        verdict, folder = found[name], root / "reports" / name / "evaluation"
        assert verdict.works.endswith(".")
        assert f"{read_json(folder / 'metrics.json')['samples']} test images" in verdict.works
        assert verdict.fails.endswith(".")
        assert verdict.steps
        for quoted in verdict.fails.split("“")[1:]:
            names = [
                set(read_table(path, (path.stem[4:],)).iloc[:, 0].astype(str)) for path in folder.glob("per_*.csv")
            ]
            assert any(quoted.split("”")[0] in own for own in names)
        assert "should gain" not in " ".join(verdict.steps)


@pytest.mark.slow
def test_every_kind_of_task_gets_its_sentences(
    tmp_path: Path, digits: Path, scenes: Path, figures: Path, strings: Path
) -> None:
    data = {"digits": digits, "scenes": scenes, "figures": figures, "strings": strings}
    root, params = some_project(tmp_path / "project", KINDS, data)
    check_kind(root, params)
    for verdict in short_verdicts(params, root):
        print("\n".join(verdict.lines()))


def test_some_kinds_get_their_sentences(
    tmp_path: Path, digits: Path, scenes: Path, figures: Path, strings: Path
) -> None:
    root, params = some_project(
        tmp_path / "project", FAST, {"digits": digits, "scenes": scenes, "figures": figures, "strings": strings}
    )
    check_kind(root, params)
    folder = root / "reports/detection/evaluation"
    table = read_table(folder / "per_class.csv", ("class",))
    table.assign(objects=10, recall=0.5, precision=[0.4, 0.8] * 5, threshold=0.3).to_csv(
        folder / "per_class.csv", index=False
    )
    headline = {"name": "mAP50", "value": 0.5, "low": 0.4, "high": 0.6}
    write_json(folder / "metrics.json", {**read_json(folder / "metrics.json"), "headline": headline})
    [words] = [verdict.works for verdict in short_verdicts(params, root) if verdict.model == "detection"]
    # 50 of 100 are found, by 50 / 2 / 0.4 + 50 / 2 / 0.8 = 93.75 claims.
    assert words.startswith(
        "It finds objects of 10 classes: about 50 of 100, and 53 of 100 that it finds are right; mAP50 0.5"
    )
