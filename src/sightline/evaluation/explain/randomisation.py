"""A heat map that is the same with random weights shows the image, not the network (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import torch
from scipy.stats import spearmanr
from torchmetrics.functional.image import structural_similarity_index_measure

from sightline.data.structures import FLOAT32
from sightline.tasks.base import Task

ALIKE = 0.5  # mean rank correlation from which on maps count as the same; 0 are unrelated ones, 1 equal ones
_WINDOW = 7  # pixels of SSIM's window
_APART = 1_000_003  # so that the seed of a training does not draw its own first weights again
AnyTask = TypeVar("AnyTask", bound=Task)


def with_random_weights(task: AnyTask, seed: int) -> AnyTask:
    """Return a copy with all layers re-initialised, as before training; the statistics are reset too.

    Numbers that no layer initialises (tokens, positions, scales) get values of the same mean and deviation.
    """
    network = copy.deepcopy(task.network).cpu()  # whose generator draws, regardless of the device
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(_APART + seed)
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for own in module.parameters(recurse=False):
                if own.numel() > 1:
                    own.copy_(own.mean() + own.std() * torch.randn_like(own))
    renewed = copy.copy(task)  # the registered buffers are shared, the network is not
    renewed._modules = {**task._modules, "network": network.to(task.mean.device)}
    return renewed.eval()


def rank_correlation(first: FLOAT32, second: FLOAT32) -> float:
    """Return Spearman's correlation of two S x S maps, -1..1; 0 where one of them is the same everywhere."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def structural_similarity(first: FLOAT32, second: FLOAT32) -> float:
    """Return the SSIM of two S x S maps in 0..1 (Wang et al. 2004), -1..1; 1 are equal ones."""
    one, other = (torch.from_numpy(np.array(heat))[None, None] for heat in (first, second))
    alike = structural_similarity_index_measure(one, other, gaussian_kernel=False, kernel_size=_WINDOW, data_range=1.0)
    assert isinstance(alike, torch.Tensor)
    return float(alike)
