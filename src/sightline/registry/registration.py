"""Registers released models: releases, ledger and DVC's cache in; runs, versions and aliases of MLflow out.

Decisions live in the ledger and bytes in DVC's cache; MLflow is only their projection. A decision is therefore written
to the ledger before an alias moves, and whatever MLflow lacks is made again from the two.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.config import Params
from sightline.registry.comparison import Evaluate
from sightline.registry.judgement import check_guards, judge, new_entry
from sightline.registry.ledger import Entry, now
from sightline.registry.outcomes import Outcome, in_force, known_outcomes, remember
from sightline.registry.registry import Registry, Report, own_folder
from sightline.registry.release import Release, headline_text, read_release
from sightline.registry.tracking import Version
from sightline.system.errors import UserError


def register(params: Params, root: Path, evaluate_champion: Evaluate, report: Report) -> list[Outcome]:
    """Bring MLflow in line with the releases of the models in `params`, and judge the new ones.

    Raises:
        UserError: after all models were tried, with one block of lines for each that failed.
    """
    if experiment := os.environ.get("DVC_EXP_NAME"):
        report(f"experiment {experiment}: nothing is registered; apply it with `dvc exp apply` to register its models")
        return []
    root = root.resolve()
    releases = [path for name in params.registered() if (path := root / "release" / f"{name}.json").exists()]
    with _alone(root):
        asked = params.gate.model_dump_json(include={"guards", "budget"})
        if known := known_outcomes(root, releases, asked):
            remember(root, releases, asked, known)
            return known
        check_guards([path.stem for path in releases], root, params.gate)
        registry, outcomes, mistakes = Registry(params, root, report), [], []
        for path in releases:
            try:
                outcomes.append(_publish(read_release(path), registry, evaluate_champion))
            except UserError as error:
                mistakes += [f"{path.stem}: {line}" for line in error.lines]
        if mistakes:
            raise UserError(mistakes)
        remember(root, releases, asked, outcomes)
    return outcomes


def rollback(name: str, params: Params, root: Path, report: Report) -> Version:
    """Make the champion before the present one champion again; the present one stays out from then on.

    Raises:
        UserError: there is no such model, or it has no earlier champion.
    """
    params.dataset_of(name)
    root = root.resolve()
    with _alone(root):
        registry = Registry(params, root, report)
        registry.check_ledger(name)
        line = registry.ledger.champions_of(name)
        if len(line) < 2:
            raise UserError(f"{name}: no earlier champion to roll back to")
        present, previous = line[-1], line[-2]
        version = registry.version_of(previous)
        reason = f"rolled back by hand from {present.model_md5[:8]} to {previous.model_md5[:8]}"
        changes: dict[str, Any] = {"decision": "rollback", "code": "by_hand", "reason": reason, "time": now()}
        changes["champion_md5"] = present.model_md5
        comparison = {
            "gain": None,
            "low": None,
            "high": None,
            "compared": None,
            "losses": (),
            "guards": (),
            "budget": (),
        }
        registry.ledger.append(previous.model_copy(update={**changes, **comparison}))
        registry.point(name, {"champion": version.number})
        registry.tag(version)
        report(f"{name}: {reason}: version {version.number} is champion")
        _tell_change(present, registry.ledger.entries[-1], registry)
        return version


def promote(name: str, params: Params, root: Path, report: Report, reason: str = "") -> Version:
    """Make the released model champion by hand, regardless of the gate's decision and even if it was rolled back.

    Raises:
        UserError: there is no such model, it is not released, or it is champion already.
    """
    params.dataset_of(name)
    root = root.resolve()
    with _alone(root):
        registry = Registry(params, root, report)
        registry.check_ledger(name)
        release = read_release(root / "release" / f"{name}.json")
        champion = registry.ledger.champion_of(name)
        if champion is not None and champion.model_md5 == release.model_md5:
            raise UserError(f"{name}: the released model ({release.model_md5[:8]}) is champion already")
        version = registry.released_version(release)
        told = f"by hand: {' '.join(reason.split()) or 'no reason given'}"
        registry.ledger.append(new_entry(release, champion, registry, "by_hand", told))
        registry.point(name, {"champion": version.number})
        registry.tag(version)
        report(f"{name}: promoted {told}: version {version.number} is champion")
        _tell_change(champion, registry.ledger.entries[-1], registry)
        return version


def log_pages(names: Sequence[str], params: Params, root: Path, report: Report) -> None:
    """Put `reports/NAME/index.html` into the runs of the released models `names`; reading a run changes no database."""
    root = root.resolve()
    with _alone(root):
        registry = Registry(params, root, report)
        for name in names:
            released = root / "release" / f"{name}.json"
            run = registry.runs.find(name, read_release(released).weights_sha256) if released.exists() else None
            if run is not None:
                registry.runs.add_page(run, root / "reports" / name / "index.html")


def _publish(release: Release, registry: Registry, evaluate: Evaluate) -> Outcome:
    """Register one release, judge it if it is new, and point the aliases."""
    registry.check_ledger(release.name)
    version, ledger = registry.released_version(release), registry.ledger
    entry = judge(release, registry, evaluate)
    if entry is not None:
        ledger.append(entry)  # before any alias moves: a crash from here on is healed by the next run
        registry.report(f"{release.name}: {entry.decision}d: {entry.reason}")
    champion = ledger.champion_of(release.name)
    leads = champion is not None and champion.model_md5 == release.model_md5
    aliases = {"champion" if leads else "challenger": version.number}
    if champion is not None and not leads:
        aliases["champion"] = registry.version_of(champion).number
    registry.point(release.name, aliases)
    registry.tag(version)
    numbers = registry.versions.numbers(release.name) | {release.model_md5: version.number}
    if champion is not None:
        numbers[champion.model_md5] = aliases["champion"]
    outcome = Outcome(
        name=release.name,
        task=release.task,
        headline=release.headline,
        model_md5=release.model_md5,
        version=version.number,
        alias="champion" if leads else "challenger",
        decision=entry.decision if entry is not None else "kept",
        reason=ledger.reason(release.name, release.model_md5),
        short=ledger.reason(release.name, release.model_md5, short=True),
        numbers=numbers,
    )
    return in_force(outcome, ledger)


def _tell_change(before: Entry | None, after: Entry, registry: Registry) -> None:
    """Report the champion before and the present one: version, headline metric, and when it was first judged."""
    for word, entry in (("before", before), ("now", after)):
        if entry is None:
            registry.report(f"  {word}: no champion")
            continue
        found = registry.versions.find(entry.name, entry.model_md5)
        version = f"version {found.number}" if found is not None else "no version in MLflow"
        first = next(e for e in registry.ledger.of(entry.name) if e.model_md5 == entry.model_md5)
        headline = headline_text(entry.headline)
        registry.report(f"  {word}: {version}, {entry.model_md5[:8]}, {headline}, first judged {first.time[:10]}")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process changes the registry."""
    with (own_folder(root) / "register.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
