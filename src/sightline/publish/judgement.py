"""Judges a release against its champion: both models' scores on the same test samples in, a line for the ledger out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.config.evaluation import Evaluation
from sightline.errors import UserError
from sightline.files import read_json
from sightline.gate import Scores, decide
from sightline.ledger import Entry, now
from sightline.publish.registry import Registry
from sightline.release import Release, folders, read_scores

# (model directory, prepared data, settings, folder to write): predicts the test split, as `evaluate.evaluate_model`.
Evaluate = Callable[[Path, Path, Evaluation, Path], object]
_NAMES_SHOWN = 5


def judge(release: Release, registry: Registry, evaluate: Evaluate) -> Entry | None:
    """Return the decision on a release, None where it is champion or was judged before.

    Raises:
        UserError: the champion's files are lost, or it cannot predict the present test samples.
    """
    ledger, champion = registry.ledger, registry.ledger.champion_of(release.name)
    champion_md5 = champion.model_md5 if champion else None
    if champion_md5 == release.model_md5:
        return None
    if ledger.judgement(release.name, release.model_md5, champion_md5, release.test_ids_sha256):
        return None
    entry = new_entry(release, champion, registry, "first version")
    if champion is None:
        return entry
    places = folders(release.name, registry.root)
    ours = read_json(places.model / "model.json")
    theirs = json.loads(registry.store.read(champion.model_md5, "model.json", f"{release.name}'s champion"))
    if reason := _incomparable(release.name, theirs, ours):
        return entry.model_copy(update={"decision": "refuse", "reason": reason})
    settings, challenger = registry.params.evaluation, read_scores(places.evaluation)
    scores = _champion_scores(champion, release, challenger, registry, evaluate)
    names = ours["labels"]["classes"]
    try:
        decision = decide(
            scores, challenger, registry.params.gate, settings.resamples, settings.confidence, names=names
        )
    except ValueError as error:
        raise UserError(f"{error}; run `dvc repro`, so that data and evaluation belong together") from None
    figures = {"gain": decision.gain, "low": decision.low, "high": decision.high}
    return entry.model_copy(update={"decision": decision.outcome, "reason": decision.reason, **figures})


def new_entry(release: Release, champion: Entry | None, registry: Registry, reason: str) -> Entry:
    """Return the ledger's line that promotes a release."""
    made = registry.made_by(release)
    return Entry(
        time=now(),
        name=release.name,
        decision="promote",
        model_md5=release.model_md5,
        training_md5=release.training_md5,
        evaluation_md5=release.evaluation_md5,
        champion_md5=champion.model_md5 if champion else None,
        reason=reason,
        test_ids=release.test_ids_sha256,
        headline=release.headline,
        promotions_on_test_set=registry.ledger.promotions(release.name, release.test_ids_sha256),
        git_sha=made.git_sha,
        lock_md5=made.lock_md5,
        git_dirty=made.git_dirty,
    )


def _champion_scores(
    champion: Entry, release: Release, challenger: Scores, registry: Registry, evaluate: Evaluate
) -> Scores:
    """Return the champion's scores on the challenger's test samples, predicted anew if its own do not compare."""
    name, what = champion.name, f"the evaluation of {champion.name}'s champion"
    same_metric = champion.headline["name"] == release.headline["name"]
    with registry.work_folder() as work:
        if same_metric and champion.test_ids == release.test_ids_sha256:
            registry.store.restore(champion.evaluation_md5, work / "evaluation", what)
            scores = read_scores(work / "evaluation")
            if _same_labels(scores, challenger):
                return scores
        registry.report(f"{name}: test samples or metric have changed: the champion predicts anew")
        registry.store.restore(champion.model_md5, work / "model", f"{name}'s champion")
        prepared = registry.root / "data" / "prepared" / registry.params.dataset_of(name)
        (work / "anew").mkdir()
        try:
            evaluate(work / "model", prepared, registry.params.evaluation, work / "anew")
        except UserError as error:
            remedy = f"if it never will again, `sightline promote {name}` puts the new model in its place"
            raise UserError(["the champion cannot predict the present test samples", *error.lines, remedy]) from None
        return read_scores(work / "anew")


def _same_labels(one: Scores, other: Scores) -> bool:
    if one.labels is None or other.labels is None:
        return True
    return np.array_equal(one.by_id().labels, other.by_id().labels)  # type: ignore[arg-type]


def _incomparable(name: str, champion: Any, challenger: Any) -> str:
    """Return why two models (their model.json) cannot be measured on one test split, "" if they can."""
    remedy = f"they cannot be compared; `sightline promote {name}` puts the challenger in its place"
    old, new = champion["task"]["kind"], challenger["task"]["kind"]
    if old != new:
        return f"other task: the champion does {old}, the challenger {new}; {remedy}"
    before, after = champion["labels"], challenger["labels"]
    if before == after:
        return ""
    if before["classes"] == after["classes"]:  # the names are the same: show where they come from
        before, after = ({"classes": labels["source_ids"]} for labels in (before, after))
    shown = f"the champion's are {_shortened(before['classes'])}, the challenger's {_shortened(after['classes'])}"
    return f"other classes: {shown}{_first_change(before['classes'], after['classes'])}; {remedy}"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _NAMES_SHOWN else "")


def _first_change(before: Sequence[str], after: Sequence[str]) -> str:
    """Tell the first class id with another name, where the shortened lists may not show it."""
    pairs = enumerate(zip(before, after, strict=False))
    place = next((number for number, (old, new) in pairs if old != new), min(len(before), len(after)))
    if place < _NAMES_SHOWN or place >= min(len(before), len(after)):
        return ""
    return f" (id {place} was {before[place]}, is {after[place]})"
