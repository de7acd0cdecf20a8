"""Finds what champion and challenger can be compared on: test samples that both know, none that a new batch brought.

A batch changes the test split as it changes the training, so a bad one would ask for what it has taught. The champion's
own evaluation tells which samples were there before, and with which labels; both models are measured on those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.config.evaluation import Evaluation
from sightline.data.store import SplitStore
from sightline.data.subset import write_subset
from sightline.errors import UserError
from sightline.gate import Scores
from sightline.ledger import Entry
from sightline.publish.registry import Registry
from sightline.release import Release, folders, read_scores

# (model directory, prepared data, settings, folder to write): predicts the test split, as `evaluate.evaluate_model`.
Evaluate = Callable[[Path, Path, Evaluation, Path], object]


@dataclass(frozen=True)
class Compared:
    """What both models made of the same samples; `told` says which ones, where they are not all."""

    champion: Scores
    challenger: Scores
    told: str = ""


def compare(champion: Entry, release: Release, registry: Registry, evaluate: Evaluate) -> Compared | None:
    """Return both models' scores on the test samples they share, None where there are none.

    Metrics of a whole test set give each sample another share of it when the set changes, so on a part of it both
    models are measured anew. Where the champion was tested on none of the present samples, all are taken but those
    of batches that it was not trained with.

    Raises:
        UserError: the champion's files are lost, or it cannot predict the present test samples.
    """
    name, places = champion.name, folders(release.name, registry.root)
    prepared = registry.root / "data" / "prepared" / registry.params.dataset_of(name)
    ours = read_scores(places.evaluation)
    with registry.work_folder() as work:
        registry.store.restore(champion.evaluation_md5, work / "then", f"the evaluation of {name}'s champion")
        theirs = read_scores(work / "then")
        same_metric = champion.headline["name"] == release.headline["name"]
        shared, told = _shared(theirs, ours), "those that the champion was tested on, with the same labels"
        if same_metric and len(shared) == len(theirs.ids) == len(ours.ids):
            return Compared(theirs, ours)
        if not shared:
            shared, told = _before(prepared, ours, champion, release), "those of no batch that is new to the champion"
        if not shared:
            return None
        registry.report(f"{name}: test samples or metric have changed: the champion predicts anew")
        registry.store.restore(champion.model_md5, work / "model", f"{name}'s champion")
        if len(shared) == len(ours.ids):
            return Compared(_champion_anew(name, work, prepared, registry, evaluate), ours)
        write_subset(prepared, shared, work / "prepared")
        anew = _champion_anew(name, work, work / "prepared", registry, evaluate)
        (work / "ours").mkdir()
        evaluate(places.model, work / "prepared", registry.params.evaluation, work / "ours")
        told = f"; judged on {len(shared)} of {len(ours.ids)} test samples: {told}"
        return Compared(anew, read_scores(work / "ours"), told)


def _champion_anew(name: str, work: Path, prepared: Path, registry: Registry, evaluate: Evaluate) -> Scores:
    (work / "anew").mkdir()
    try:
        evaluate(work / "model", prepared, registry.params.evaluation, work / "anew")
    except UserError as error:
        remedy = f"if it never will again, `sightline promote {name}` puts the new model in its place"
        raise UserError(["the champion cannot predict the present test samples", *error.lines, remedy]) from None
    return read_scores(work / "anew")


def _shared(champion: Scores, challenger: Scores) -> set[str]:
    """Return the ids of the samples that both were tested on, against the same label where there are labels."""
    common, old, new = np.intersect1d(champion.ids, challenger.ids, return_indices=True)
    if champion.labels is not None and challenger.labels is not None:
        common = common[champion.labels[old] == challenger.labels[new]]
    return set(common.tolist())


def _before(prepared: Path, challenger: Scores, champion: Entry, release: Release) -> set[str]:
    """Return the ids of the test samples that no batch has brought which is new to the champion."""
    fresh = set(release.batches) - set(champion.batches)
    if not fresh:
        return set(challenger.ids.tolist())
    store = SplitStore(prepared / "test")
    return {one for one, batch in zip(store.ids, store.column("batch"), strict=True) if batch not in fresh}
