"""What a network is trained for, one file per task; built here by one exhaustive match."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.config.models import Input
from sightline.config.tasks import Classification
from sightline.config.tasks import Task as TaskConfig
from sightline.models.classifiers import Weights
from sightline.structures import LabelMap

if TYPE_CHECKING:
    from sightline.tasks.base import Task


def build(
    task: TaskConfig,
    image: Input,
    labels: LabelMap,
    weights: Weights = "random",
    class_counts: Sequence[int] | None = None,
) -> Task:
    """Build a task with its network.

    Args:
        task: the section `task` of a model.
        image: the section `input`.
        labels: the classes.
        weights: where the network's first weights come from.
        class_counts: training samples per class, for balanced losses; not needed for prediction.
    """
    match task:
        case Classification():
            from sightline.tasks.classification import build_classification

            return build_classification(task, image, labels, weights, class_counts)


def weights_source(weights: str, folder: Path) -> Weights:
    """Return what `models.*.weights` means: a word, or a file in `folder`."""
    return weights if weights in ("random", "pretrained") else folder / weights  # type: ignore[return-value]
