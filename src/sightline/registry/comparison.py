"""Finds what champion and challenger can be compared on: test samples that both know, none that a new batch brought.

A batch changes the test split as it changes the training, so a bad one would ask for what it has taught. The champion's
own evaluation says which samples were there before, and with which truth. A sample counts if

- the champion was tested on it, against the same truth; or
- the champion was tested on it, its truth has changed, and no batch that is new to the champion brought it: someone has
  corrected an annotation that was there before. The picture is the same, so both models are judged against the truth as
  it is now, for which the champion predicts again.

A new batch that brings an old sample with another truth cannot have it count. Where the champion was tested on none of
the present samples, all count but those of batches that it was not trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sightline.config.evaluation import Evaluation
from sightline.data.store import SplitStore
from sightline.data.subset import write_subset
from sightline.registry.ledger import Entry
from sightline.registry.registry import Registry
from sightline.registry.release import Release, folders, read_rows
from sightline.system.errors import UserError

# (model directory, prepared data, settings, folder to write): predicts the test split, as `evaluate.evaluate_model`.
Evaluate = Callable[[Path, Path, Evaluation, Path], object]


@dataclass(frozen=True)
class Compared:
    """The results of both models on the same samples, a row each; `told` says which ones, where they are not all."""

    champion: pd.DataFrame
    challenger: pd.DataFrame
    told: str = ""


@dataclass(frozen=True)
class Shared:
    """Ids of the samples that count: `same` have the truth that the champion was tested against, `changed` another."""

    same: frozenset[str]
    changed: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """All of them."""
        return self.same | self.changed


def compare(champion: Entry, release: Release, registry: Registry, evaluate: Evaluate) -> Compared | None:
    """Return both models' rows of the test samples that count, None if there are none.

    Raises:
        UserError: the champion's files are lost, or it cannot predict the present test samples.
    """
    name, places = champion.name, folders(release.name, registry.root)
    prepared = registry.root / "data" / "prepared" / registry.params.dataset_of(name)
    ours = read_rows(places.evaluation)
    fresh = frozenset(release.batches) - frozenset(champion.batches)
    with registry.work_folder() as work:
        registry.store.restore(champion.evaluation_md5, work / "then", f"the evaluation of {name}'s champion")
        theirs = read_rows(work / "then")
        shared = shared_samples(theirs, ours, lambda: _brought_by(prepared, fresh))
        words = "those that the champion was tested on"
        if not shared.ids:
            rest = frozenset(ours["id"]) - _brought_by(prepared, fresh)
            shared, words = Shared(frozenset(), rest), "those without batches that are new to the champion"
        if not shared.ids:
            return None
        told = _told(shared, len(ours), words)
        if not shared.changed and set(theirs.columns) == set(ours.columns):
            return Compared(_chosen(theirs, shared.ids), _chosen(ours, shared.ids), told)
        registry.report(f"{name}: the champion predicts {len(shared.ids)} test samples again, {_why(shared, words)}")
        registry.store.restore(champion.model_md5, work / "model", f"{name}'s champion")
        if len(shared.ids) < len(ours):
            write_subset(prepared, shared.ids, work / "prepared")
            prepared = work / "prepared"
        anew = _chosen(_champion_anew(name, work, prepared, registry, evaluate), shared.ids)
        return Compared(anew, _chosen(ours, shared.ids), told)


def shared_samples(champion: pd.DataFrame, challenger: pd.DataFrame, brought: Callable[[], Set[str]]) -> Shared:
    """Return the samples of both that count, by the rule of this module's first lines.

    Args:
        champion: rows of its own evaluation; from before truth was hashed they lack the column `truth`, and any truth
            may have changed.
        challenger: rows of its evaluation, on the present test split.
        brought: returns the ids of samples of batches that are new to the champion; not asked where all is the same.
    """
    then = dict(zip(champion["id"], champion["truth"] if "truth" in champion else [None] * len(champion), strict=True))
    now = {one: truth for one, truth in zip(challenger["id"], challenger["truth"], strict=True) if one in then}
    same = frozenset(one for one, truth in now.items() if then[one] == truth)
    changed = frozenset(now) - same
    return Shared(same, changed - brought() if changed else changed)


def _told(shared: Shared, tested: int, words: str) -> str:
    part = "" if len(shared.ids) == tested else f"; compared on {len(shared.ids)} of {tested} test samples: {words}"
    corrected = (
        f"; {len(shared.changed)} of them against corrected annotations" if shared.same and shared.changed else ""
    )
    return part + corrected


def _why(shared: Shared, words: str) -> str:
    if shared.same:
        return (
            f"because the truth of {len(shared.changed)} has changed"
            if shared.changed
            else "because its rows are older"
        )
    return f"{words}, against the present truth"


def _chosen(rows: pd.DataFrame, ids: Set[str]) -> pd.DataFrame:
    return rows[rows["id"].isin(list(ids))].reset_index(drop=True)


def _champion_anew(name: str, work: Path, prepared: Path, registry: Registry, evaluate: Evaluate) -> pd.DataFrame:
    (work / "anew").mkdir()
    try:
        evaluate(work / "model", prepared, registry.params.evaluation, work / "anew")
    except UserError as error:
        remedy = f"if that cannot be fixed, `sightline promote {name}` makes the new model champion"
        raise UserError(["the champion cannot predict the present test samples", *error.lines, remedy]) from None
    return read_rows(work / "anew")


def _brought_by(prepared: Path, batches: Set[str]) -> frozenset[str]:
    """Return the ids of the test samples that one of these batches has brought."""
    if not batches:
        return frozenset()
    store = SplitStore(prepared / "test")
    return frozenset(one for one, batch in zip(store.ids, store.column("batch"), strict=True) if batch in batches)
