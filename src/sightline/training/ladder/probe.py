"""The first step: the network's last layer is fitted on the features of the body, which stays as it is.

Fine-tuning that begins there distorts the body less than from a random last layer (Kumar et al. 2022, LP-FT).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.config.heads import Logistic
from sightline.data.structures import FLOAT32, LabelMap
from sightline.tasks.base import Task, numbers
from sightline.training.batches import Batches
from sightline.training.datamodule import PreparedData
from sightline.training.job import Job

_ABSENT = -20.0  # score of a class that no training image has
_CANDIDATES = [0.001, 0.01, 0.1, 1.0]  # inverse weights of the penalty
_CHOSEN_ON = 5000  # images at most


def why_not(task: Task) -> str:
    """Return why a task's last layer cannot be fitted on its own; "" if it can."""
    head = task.network.get_submodule(task.head)
    return "" if isinstance(head, nn.Linear) else f"the last layer is a {type(head).__name__}, not a linear one"


def fit_last_layer(job: Job, task: Task, data: PreparedData, seed: int) -> list[dict[str, float]]:
    """Put the weights of a logistic regression on the training images, as they are, into the last layer.

    Args:
        job: what there is to train.
        task: with its first weights.
        data: its batches.
        seed: of the folds.

    Returns:
        One row, as of an epoch.
    """
    head = task.network.get_submodule(task.head)
    assert isinstance(head, nn.Linear)
    labels = data.data["train"].targets["label"].numpy()
    vectors = entering(task, data.data["train"], job.config.trainer.batch_size, job.device)
    balanced = getattr(job.config.task, "class_weights", "none") == "balanced"
    weight, bias = as_layer(_regression(vectors, labels, job.labels, balanced, seed), len(job.labels))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(bias))
    return [_row(job, task, data, vectors @ weight.T + bias)]


def _regression(vectors: FLOAT32, labels: NDArray[np.int64], known: LabelMap, balanced: bool, seed: int) -> Any:
    """Return a fitted pipeline of standardisation and regression, its penalty by cross-validation on train.

    It is chosen by log loss: by accuracy many are equal, and some of these are sure of nothing.
    """
    from sightline.training.heads.fitting import cross_validated, drawn_by_class, fit  # imports scikit-learn

    weights: Literal["none", "balanced"] = "balanced" if balanced else "none"
    section = Logistic(dataset="-", features="-", kind="logistic", C=_CANDIDATES, class_weights=weights)
    rows = drawn_by_class(labels, _CHOSEN_ON, seed)
    least = int(np.unique(labels[rows], return_counts=True)[1].min())
    best = _CANDIDATES[-2]
    if least >= 2:
        section = section.model_copy(update={"folds": min(section.folds, least)})
        table = cross_validated(section, vectors[rows], labels[rows], seed, "neg_log_loss")
        best = float(table.sort_values("rank", kind="stable").iloc[0]["classifier__C"])
    return fit(section.model_copy(update={"C": [best]}), vectors, labels, known.classes, seed).classifier


def entering(task: Task, batches: Batches, size: int, device: str = "cpu") -> FLOAT32:
    """Return N x D: what enters the last layer for each image as it is; the task is on the CPU afterwards."""
    found: list[FLOAT32] = []

    def keep(_: Any, inputs: tuple[Tensor, ...]) -> None:
        found.append(numbers(inputs[0].flatten(1)))

    task.eval().to(device)
    hook = task.network.get_submodule(task.head).register_forward_pre_hook(keep)
    try:
        with torch.inference_mode():
            for start in range(0, len(batches.pixels), size):
                task.look_inside(torch.from_numpy(np.array(batches.pixels[start : start + size])).to(device))
    finally:
        hook.remove()
        task.cpu()
    return np.concatenate(found)


def as_layer(pipeline: Any, classes: int) -> tuple[FLOAT32, FLOAT32]:
    """Return K x D weights and K biases that score as standardisation and logistic regression together do."""
    scaler, regression = pipeline[0], pipeline[-1]
    weight: NDArray[Any] = regression.coef_ / scaler.scale_
    bias: NDArray[Any] = regression.intercept_ - weight @ scaler.mean_
    if len(weight) == 1:  # of two classes it has the difference alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    whole, biases = np.zeros((classes, weight.shape[1]), np.float32), np.full(classes, _ABSENT, np.float32)
    present = np.asarray(regression.classes_, int)
    whole[present], biases[present] = weight, bias
    return whole, biases


def _row(job: Job, task: Task, data: PreparedData, scores: FLOAT32) -> dict[str, float]:
    """Return losses and scores as a row of `curves`."""
    sums: dict[str, float] = {}
    count = 0
    with torch.inference_mode():
        targets = data.data["train"].targets
        train_loss = float(task.loss(torch.from_numpy(scores.astype(np.float32)), targets))
        for batch in data.validation_batches():
            loss, more = task.validate(batch.images, batch.targets)
            for name, value in {"loss": loss, **more}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch.images)
            count += len(batch.images)
    val = {f"val_{name}": value / count for name, value in sums.items()}
    return {"epoch": 0.0, "lr": 0.0, "train_loss": train_loss, **val}
