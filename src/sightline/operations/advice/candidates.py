"""The models and heads of a data set, and what each learned from, as far as advice depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sightline.config import Params
from sightline.system.files import read_json
from sightline.training.heads import LEARNING_CURVE


@dataclass(frozen=True)
class Candidate:
    """A model or head of a data set.

    Attributes:
        name: of the entry.
        role: network; head over fixed features; or head over features of a network trained on this data set, which
            says nothing on how good features from elsewhere are.
    """

    name: str
    role: Literal["network", "head", "head of a network"]


def candidates(params: Params, dataset: str) -> tuple[Candidate, ...]:
    """Return the models and heads of a data set, in the order of params.yaml."""
    return tuple(
        Candidate(name, "network" if name in params.models else _role_of_head(params, name))
        for name, entry in params.registered().items()
        if entry.dataset == dataset
    )


def _role_of_head(params: Params, name: str) -> Literal["head", "head of a network"]:
    head = params.head(name)
    source = params.features_of(head.features).model()
    return "head of a network" if source and params.dataset_of(source) == head.dataset else "head"


def curve_file(root: Path, name: str) -> Path:
    """Return the path of a head's learning curve."""
    return root / "reports" / name / "training" / LEARNING_CURVE


def read_metrics(root: Path, name: str) -> dict[str, Any] | None:
    """Return the metrics of an evaluation, None if there is none."""
    path = evaluation_folder(root, name) / "metrics.json"
    return dict(read_json(path)) if path.is_file() else None


def evaluation_folder(root: Path, name: str) -> Path:
    """Return the folder of a model's evaluation."""
    return root / "reports" / name / "evaluation"
