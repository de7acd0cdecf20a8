"""Several networks as one: the mean of their weights, or a teacher whose mean probabilities another one learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sightline.tasks.base import Task

State = Mapping[str, Tensor]
_TAUGHT = 0.5  # share of the labels that is the teacher's (Hinton et al. 2015, section 2, weigh both)


def soup(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the mean of several networks' weights (Wortsman et al. 2022, uniform soup); counters are the first's.

    Their greedy soup chooses its members on the same images that judge it here, which would make chance look better
    than it is.
    """
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
        if first.is_floating_point()
        else first.clone()
        for name, first in states[0].items()
    }


class Teacher:
    """Gives labels that are half the truth, half the mean probabilities of several networks on the same images.

    They see what the pupil sees, with the same augmentation (Beyer et al. 2022).

    Args:
        tasks: the networks, trained.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = [task.eval().requires_grad_(False) for task in tasks]

    def __call__(self, images: Tensor, targets: dict[str, Any]) -> dict[str, Any]:
        """N x H x W x C images and their targets -> the targets with N x K shares of classes as `label`."""
        with torch.no_grad():
            chances = torch.stack(
                [task.to(images.device).class_chances(task.look_inside(images)).float() for task in self.tasks]
            ).mean(0)
        labels = targets["label"]
        truth = labels if labels.ndim == 2 else one_hot(labels, chances.shape[1]).float()
        return {**targets, "label": (1 - _TAUGHT) * truth + _TAUGHT * chances}
