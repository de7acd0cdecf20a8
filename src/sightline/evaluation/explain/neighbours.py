"""A map of test images: those that are similar to the network are close to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.layers import forward_layers, watched
from sightline.evaluation.explain.picture import Check, Picture, tell_checks
from sightline.evaluation.report.embedding import draw_thumbnails
from sightline.tasks.base import Task, numbers

_BATCH = 32
_NEAREST = 5


def image_features(task: Task, pixels: UINT8, layer: str) -> FLOAT32:
    """N x S x S x C uint8 -> N x D float32: what goes into the last layer, or the mean over the places of `layer`."""
    if not task.head_takes_vectors:
        found = []
        with watched(task, [layer]) as outputs, torch.no_grad():
            for start in range(0, len(pixels), _BATCH):
                forward_layers(task, torch.from_numpy(np.array(pixels[start : start + _BATCH])))
                found.append(numbers(outputs[layer].mean((2, 3))))
        return np.concatenate(found)
    kept: list[FLOAT32] = []

    def keep(module: Any, inputs: tuple[Tensor, ...]) -> None:
        kept.append(numbers(inputs[0].flatten(1)))

    hook = task.inner_network.get_submodule(task.head).register_forward_pre_hook(keep)
    try:
        with torch.no_grad():
            for start in range(0, len(pixels), _BATCH):
                forward_layers(task, torch.from_numpy(np.array(pixels[start : start + _BATCH])))
    finally:
        hook.remove()
    return np.concatenate(kept)


def laid_out(features: FLOAT32, seed: int) -> tuple[FLOAT32, FLOAT32]:
    """Return N x 2 points by PCA and by t-SNE (van der Maaten and Hinton 2008)."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    reduced = PCA(min(50, *scaled.shape), random_state=seed).fit_transform(scaled)
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    points = TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(reduced)
    return reduced[:, :2].astype(np.float32), points.astype(np.float32)


def share_of_like_neighbours(features: FLOAT32, labels: NDArray[np.int64]) -> float:
    """Return the share of images whose nearest five others are mostly of their own class."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    others = KNeighborsClassifier(min(_NEAREST, len(labels) - 1)).fit(scaled, labels)
    near = others.kneighbors(return_distance=False)  # without the image itself
    votes = labels[near]
    commonest = np.array([np.bincount(row).argmax() for row in votes])
    return float((commonest == labels).mean())


def neighbours_picture(
    task: Task,
    renewed: Task,
    name: str,
    pixels: UINT8,
    labels: NDArray[np.int64],
    layer: str,
    seed: int,
) -> Picture:
    """Draw N test images where PCA and t-SNE of their features put them.

    Args:
        task: in evaluation mode.
        renewed: the same with random weights.
        name: of the model.
        pixels: N x S x S x C uint8.
        labels: N class ids, -1 for none.
        layer: whose maps are averaged where the task has no features before a last layer.
        seed: of t-SNE.
    """
    features = image_features(task, pixels, layer)
    checks = []
    # a detector sorts objects, not images
    if "label" in task.targets and len(labels) > 2 and labels.min() >= 0 and len(np.unique(labels)) > 1:
        share = share_of_like_neighbours(features, labels)
        random = share_of_like_neighbours(image_features(renewed, pixels, layer), labels)
        better = share > random
        told = f"{share:.0%} of the images are among images of their class (features of random weights "
        told += f"{random:.0%}): {'the network sorts them' if better else 'it does NOT sort them better'}."
        checks.append(Check("like_neighbours", share, random, better, told))
    flat, curved = laid_out(features, seed)
    views = {"PCA": flat, "t-SNE": curved}
    figure = draw_thumbnails(views, labels, task.labels.classes, f"{name}: {len(pixels)} test images", pixels)
    tell_checks(figure, checks)
    caption = "Images with similar features are close to each other; only distances have a meaning."
    return Picture("neighbours", "Map of test images", caption, "van der Maaten and Hinton 2008", tuple(checks), figure)
