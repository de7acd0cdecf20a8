"""Judges a release against its champion: both models' scores on the same test samples in, a line for the ledger out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sightline.errors import UserError
from sightline.files import read_json
from sightline.gate import Decision, decide
from sightline.ledger import Entry, now
from sightline.metrics.by_kind import metrics_of
from sightline.publish.comparison import Evaluate, compare
from sightline.publish.registry import Registry
from sightline.release import Release, folders
from sightline.structures import LabelMap

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
    compared = compare(champion, release, registry, evaluate)
    if compared is None:
        told = f"nothing to compare on: every test sample is of a new batch; {_by_hand(release.name)}"
        return entry.model_copy(update={"decision": "refuse", "reason": told})
    settings, kind, labels = registry.params.evaluation, ours["task"]["kind"], LabelMap.from_json(ours["labels"])
    try:
        decision = decide(
            compared.champion,
            compared.challenger,
            release.headline["name"],
            lambda rows: metrics_of(kind, rows, labels),
            registry.params.gate,
            settings.resamples,
            settings.confidence,
            names=labels.classes,
        )
    except ValueError as error:
        raise UserError(f"{error}; run `dvc repro`, so that data and evaluation belong together") from None
    figures = {"gain": decision.gain, "low": decision.low, "high": decision.high}
    changes = {
        "decision": decision.outcome,
        "reason": decision.reason + compared.told,
        "compared": len(compared.champion),
        "blamed_batches": _blamed(decision, release, champion, registry),
    }
    return entry.model_copy(update={**changes, **figures})


def _blamed(decision: Decision, release: Release, champion: Entry, registry: Registry) -> tuple[str, ...]:
    """Return the batches that a refusal is put down to: new to the champion, and to every challenger that did no harm.

    Chance alone refuses many a model, so unless the rules say otherwise only a measurably worse one counts.
    """
    if decision.outcome == "promote" or not (decision.harmful or registry.params.gate.withdraw_batches == "refused"):
        return ()
    seen = set(champion.batches)
    for entry in registry.ledger.of(release.name):
        judged = entry.champion_md5 == champion.model_md5 and entry.compared is not None
        if judged and not entry.blamed_batches:
            seen |= set(entry.batches)
    return tuple(batch for batch in release.batches if batch not in seen)


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
        batches=release.batches,
        git_sha=made.git_sha,
        lock_md5=made.lock_md5,
        git_dirty=made.git_dirty,
    )


def _incomparable(name: str, champion: Any, challenger: Any) -> str:
    """Return why two models (their model.json) cannot be measured on one test split, "" if they can."""
    remedy = f"they cannot be compared; {_by_hand(name)}"
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


def _by_hand(name: str) -> str:
    return f"`sightline promote {name}` puts the challenger in its place"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _NAMES_SHOWN else "")


def _first_change(before: Sequence[str], after: Sequence[str]) -> str:
    """Tell the first class id with another name, where the shortened lists may not show it."""
    pairs = enumerate(zip(before, after, strict=False))
    place = next((number for number, (old, new) in pairs if old != new), min(len(before), len(after)))
    if place < _NAMES_SHOWN or place >= min(len(before), len(after)):
        return ""
    return f" (id {place} was {before[place]}, is {after[place]})"
