"""Judges a release against its champion: both models' scores on the same test samples in, a line for the ledger out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.config.evaluation import Budget, Gate
from sightline.config.metrics import OF_ONE, best_value, unknown_metric
from sightline.config.tasks import kinds
from sightline.data.structures import LabelMap
from sightline.registry.budget import budget_checks, limits_of
from sightline.registry.comparison import Evaluate, compare
from sightline.registry.gate import Decision, decide, guard_checks
from sightline.registry.grounds import WORDS, BudgetCheck, Code, GuardCheck, broken, over
from sightline.registry.ledger import Entry, now
from sightline.registry.registry import Registry
from sightline.registry.release import Release, folders, read_rows
from sightline.system.errors import UserError
from sightline.system.files import read_json
from sightline.tasks.metrics.by_kind import metrics_of, names_of, value_of

_NAMES_SHOWN = 5


def judge(release: Release, registry: Registry, evaluate: Evaluate) -> Entry | None:
    """Return the decision on a release, None if it is champion or was judged before.

    Raises:
        UserError: the champion's files are lost, or it cannot predict the present test samples.
    """
    ledger, champion = registry.ledger, registry.ledger.champion_of(release.name)
    champion_md5 = champion.model_md5 if champion else None
    if champion_md5 == release.model_md5:
        return None
    places, rules = folders(release.name, registry.root), registry.params.gate
    ours = read_json(places.model / "model.json")
    asked = guards_on(release.name, ours, rules)
    known = ledger.judgement(release.name, release.model_md5, champion_md5, release.test_ids_sha256)
    if known is not None and not _asks_anew(known, release, asked, rules.budget.get(release.name)):
        return None
    entry = new_entry(release, champion, registry, "first", WORDS["first"])
    guards = _checks(places.evaluation, ours, asked, registry) if asked else ()
    entry = entry.model_copy(update={"guards": guards})
    if champion is None:
        return _admitted(entry, registry)
    theirs = json.loads(registry.store.read(champion.model_md5, "model.json", f"{release.name}'s champion"))
    if different := _incomparable(release.name, theirs, ours):
        return entry.model_copy(update=_refused(*different))
    compared = compare(champion, release, registry, evaluate)
    if compared is None:
        told = f"nothing to compare on: every test sample is of a new batch; {_by_hand(release.name)}"
        return entry.model_copy(update=_refused("nothing_shared", told))
    settings, (kind, labels) = registry.params.evaluation, _kind_and_labels(ours)
    try:
        decision = decide(
            compared.champion,
            compared.challenger,
            release.headline["name"],
            lambda rows: metrics_of(kind, rows, labels),
            rules,
            settings.resamples,
            settings.confidence,
            names=labels.classes,
        )
    except ValueError as error:
        raise UserError(f"{error}; run `dvc repro`, so that data and evaluation match") from None
    if broken(guards) and decision.outcome == "promote":
        told = f"{_below(guards, release.name)}; although it is {decision.reason}"
        decision = replace(decision, outcome="refuse", code="guard", reason=told)
    budget = _budget(release.name, registry) if decision.outcome == "promote" else ()
    if over(budget):
        told = f"{_beyond(budget, release.name)}; although it is {decision.reason}"
        decision = replace(decision, outcome="refuse", code="budget", reason=told)
    hint = ""
    if decision.outcome == "refuse" and not decision.harmful:
        measured = metrics_of(kind, compared.champion, labels)
        values = {metric: value_of(own, len(compared.champion)) for metric, own in measured.items()}
        hint = _no_better(values, release.headline["name"], release.name)
    figures = {"gain": decision.gain, "low": decision.low, "high": decision.high}
    changes = {
        "decision": decision.outcome,
        "code": decision.code,
        "losses": tuple(change.loss for change in decision.per_class if change.vetoes),
        "reason": decision.reason + compared.told + hint,
        "compared": len(compared.champion),
        "budget": budget,
        "blamed_batches": _blamed(decision, release, champion, registry),
    }
    return entry.model_copy(update={**changes, **figures})


def check_guards(names: Iterable[str], root: Path, rules: Gate) -> None:
    """Refuse guards that guard nothing.

    Args:
        names: of all released models.
        root: of the project.
        rules: of the gate.

    Raises:
        UserError: no model has the metric of a guard, or the model that a guard names does not have it.
    """
    if not rules.guards:
        return
    models = {name: read_json(folders(name, root).model / "model.json") for name in names}
    for name, model in models.items():
        guards_on(name, model, rules)
    known = list(dict.fromkeys(metric for model in models.values() for metric in names_of(*_kind_and_labels(model))))
    if known and (lost := [metric for metric in rules.common_guards() if metric not in known]):
        raise UserError([f"gate.guards.{metric}: {unknown_metric(metric, known)}" for metric in lost])


def guards_on(name: str, model: Any, rules: Gate) -> dict[str, float]:
    """Return the guards that a model has to keep, by its model.json: those of the model before those of all models.

    Raises:
        UserError: the model does not have the metric of a guard that names it.
    """
    known, own = names_of(*_kind_and_labels(model)), rules.guards_of(name)
    if lost := [metric for metric in own if metric not in known]:
        raise UserError([f"gate.guards.{name}: {unknown_metric(metric, known)}" for metric in lost])
    return {metric: bound for metric, bound in (rules.common_guards() | own).items() if metric in known}


def _kind_and_labels(model: Any) -> tuple[str, LabelMap]:
    return model["task"]["kind"], LabelMap.from_json(model["labels"])


def _checks(evaluation: Path, model: Any, asked: dict[str, float], registry: Registry) -> tuple[GuardCheck, ...]:
    """Measure the guarded metrics on all test samples of the release, not only on those that are compared."""
    rows, settings = read_rows(evaluation), registry.params.evaluation
    kind, labels = _kind_and_labels(model)
    return guard_checks(rows, metrics_of(kind, rows, labels), asked, settings.resamples, settings.confidence)


def _budget(name: str, registry: Registry) -> tuple[BudgetCheck, ...]:
    """Measure what the released model takes, if it has a budget; last, as it takes some seconds."""
    prepared = registry.root / "data" / "prepared" / registry.params.dataset_of(name)
    return budget_checks(folders(name, registry.root).model, prepared, registry.params.gate.budget.get(name))


def _admitted(entry: Entry, registry: Registry) -> Entry:
    """Return the decision on the first model of a name, which nothing is compared with."""
    if broken(entry.guards):
        return entry.model_copy(update=_refused("guard", _below(entry.guards, entry.name)))
    budget = _budget(entry.name, registry)
    refused = _refused("budget", _beyond(budget, entry.name)) if over(budget) else {}
    return entry.model_copy(update={"budget": budget, **refused})


def _asks_anew(known: Entry, release: Release, asked: dict[str, float], budget: Budget | None) -> bool:
    """Return whether a refusal was of another question: by another metric, or below a guard that has changed since.

    A budget is another question when it has changed, or is measured with another engine or other threads.
    """
    if known.decision != "refuse" or known.model_md5 != release.model_md5:
        return False
    changed = known.code == "guard" and {check.metric: check.bound for check in known.guards} != asked
    if known.code == "budget":
        then = {check.limits: (check.bound, check.engine, check.threads) for check in known.budget}
        limits = limits_of(budget).items()
        now = {name: (bound, budget.engine, budget.threads) for name, bound in limits} if budget else {}
        changed = then != now or (release.int8_md5 or None) != known.int8_md5
    return changed or known.headline["name"] != release.headline["name"]


def _refused(code: Code, reason: str) -> dict[str, Any]:
    return {"decision": "refuse", "code": code, "reason": reason}


def _below(guards: Sequence[GuardCheck], name: str) -> str:
    told = "; ".join(check.told for check in broken(guards))
    return f"guard: {told}; `sightline promote {name}` makes it champion anyway"


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


def _beyond(budget: Sequence[BudgetCheck], name: str) -> str:
    told = "; ".join(check.told for check in over(budget))
    return f"budget: {told}; `sightline promote {name}` makes it champion anyway"


def new_entry(release: Release, champion: Entry | None, registry: Registry, code: Code, reason: str) -> Entry:
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
        code=code,
        test_ids=release.test_ids_sha256,
        headline=release.headline,
        promotions_on_test_set=registry.ledger.promotions(release.name, release.test_ids_sha256),
        batches=release.batches,
        int8_md5=release.int8_md5 or None,
        git_sha=made.git_sha,
        lock_md5=made.lock_md5,
        git_dirty=made.git_dirty,
    )


def _incomparable(name: str, champion: Any, challenger: Any) -> tuple[Code, str] | None:
    """Return why two models (their model.json) cannot be measured on one test split, None if they can."""
    remedy = f"they cannot be compared; {_by_hand(name)}"
    old, new = champion["task"]["kind"], challenger["task"]["kind"]
    if old != new:
        return "other_task", f"different task: {old} for the champion, {new} for the challenger; {remedy}"
    section = kinds().get(new)
    for key in section.measured_by if section else ():
        then, today = champion["task"].get(key), challenger["task"].get(key)
        if then != today:
            told = f"measured in another way: {key} is {then} for the champion, {today} for the challenger"
            return "other_task", f"{told}; {remedy}"
    before, after = champion["labels"], challenger["labels"]
    if before == after:
        return None
    pairs = {what: (before.get(what, []), after.get(what, [])) for what in ("classes", "characters", "source_ids")}
    what = next((own for own, (old, new) in pairs.items() if old != new), "source_ids")
    was, now = pairs[what]
    shown = f"the champion's are {_shortened(was)}, the challenger's {_shortened(now)}"
    name = "characters" if what == "characters" else "classes"  # source ids: where classes of the same names come from
    return "other_classes", f"different {name}: {shown}{_first_change(was, now)}; {remedy}"


def _no_better(champion: Mapping[str, float], headline: str, name: str) -> str:
    """Return what to do if the champion has no error on the compared samples, "" if it has one.

    Args:
        champion: its metrics on these samples.
        headline: the metric that was compared.
        name: of the model.
    """
    if champion[headline] != best_value(headline):
        return ""
    open_to = [one for one, value in champion.items() if OF_ONE not in one and best_value(one) not in (None, value)]
    such_as = f" such as {open_to[-1]}" if open_to else ""
    return (
        f"; the champion has no error on them ({headline} {champion[headline]:g}), so no model can be better: compare "
        f"by another metric{such_as} (`evaluation.headline`), add test images, or `sightline promote {name}`"
    )


def _by_hand(name: str) -> str:
    return f"`sightline promote {name}` makes the challenger champion"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > _NAMES_SHOWN else "")


def _first_change(before: Sequence[str], after: Sequence[str]) -> str:
    """Tell the first class id with another name, where the shortened lists may not show it."""
    pairs = enumerate(zip(before, after, strict=False))
    place = next((number for number, (old, new) in pairs if old != new), min(len(before), len(after)))
    if place < _NAMES_SHOWN or place >= min(len(before), len(after)):
        return ""
    return f" (id {place} was {before[place]}, is {after[place]})"
