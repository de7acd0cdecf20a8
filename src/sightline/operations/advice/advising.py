"""Advice on a data set or a model: the files of its heads and evaluations in, what follows from them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.config import Params
from sightline.operations.advice.candidates import Candidate, candidates
from sightline.operations.advice.evaluations import (
    HeadAgainstNetwork,
    SmallestDifference,
    evaluated,
    head_against_network,
    smallest,
)
from sightline.operations.advice.more_data import MoreData, more_data
from sightline.system.errors import UserError, nearest


@dataclass(frozen=True)
class Advice:
    """What follows from what was measured; None where nothing was measured that would say it.

    Attributes:
        dataset: the data set.
        model: the model or head that was asked about, "" for the whole data set.
        doubling: what twice the training data is worth.
        head_against_network: whether fine-tuning is better than a head over fixed features.
        smallest_difference: which differences the test split can show.
    """

    dataset: str
    model: str
    doubling: MoreData | None
    head_against_network: HeadAgainstNetwork | None
    smallest_difference: SmallestDifference | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return self.doubling is None and self.head_against_network is None and self.smallest_difference is None


def advise(root: Path, params: Params, name: str) -> Advice:
    """Return the advice on a data set, a model or a head.

    Args:
        root: of the project.
        params: of the project.
        name: of a data set, or of a model or head; data sets come first where both are called the same.

    Raises:
        UserError: no such name, or a damaged file.
    """
    if name in params.datasets:
        return advise_on(root, name, candidates(params, name))
    registered = params.registered()
    if name not in registered:
        known = [*params.datasets, *registered]
        raise UserError(f"{name}: no data set, model or head of params.yaml{nearest(name, known)}")
    dataset = registered[name].dataset
    return advise_on(root, dataset, candidates(params, dataset), name)


def advise_on(root: Path, dataset: str, every: Sequence[Candidate], model: str = "") -> Advice:
    """Return the same, given the models and heads of the data set.

    Args:
        root: of the project.
        dataset: the data set.
        every: its models and heads.
        model: one of them, "" for the whole data set: its first evaluated model stands for the test split then.

    Raises:
        UserError: a damaged file.
    """
    models = evaluated(root, every)
    subject = next((one for one in models if one.name == model or not model), None)
    return Advice(
        dataset,
        model,
        more_data(root, model or None, every),
        head_against_network(root, dataset, models),
        smallest(root, dataset, subject, models) if subject else None,
    )
