"""Losses of style transfer (Gatys, Ecker and Bethge 2016).

Each is relative to its target, so that the same weights of the losses suit every network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_LEAST_SHARE = 1e-6  # places of a region that no place of a coarse map sees


def as_maps(output: Tensor) -> Tensor:
    """Output of a layer -> C x M: C features at M places; of tokens, places come first."""
    if output.ndim == 3:
        return output[0].T
    return output[0].reshape(output.shape[1], -1)


def gram(features: Tensor) -> Tensor:
    """C x M -> C x C mean products of features over the places, G = F F^T / M (equation 3)."""
    return features @ features.T / features.shape[1]


def grams(outputs: Tensor) -> Tensor:
    """N x C x H x W outputs of a layer, or N x M x C tokens -> N x C x C, `gram` of each."""
    features = outputs.flatten(2) if outputs.ndim == 4 else outputs.transpose(1, 2)
    return features @ features.transpose(1, 2) / features.shape[2]


def region_grams(features: Tensor, shares: Tensor) -> Tensor:
    """C x M features, R x M shares of regions in the places -> R x C x C mean products within each region.

    Luan et al. (2017, equation 3) multiply features by binary masks; a place on a border counts by its share.
    """
    weighted = features * shares[:, None]  # R x C x M
    return weighted @ features.T / shares.sum(1).clamp_min(_LEAST_SHARE)[:, None, None]


def mixed_grams(styles: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of the Gram matrices of several pictures, by layer; weights sum to 1.

    The weighted sum of the distances to several matrices differs from the distance to their mean by a constant only.
    """
    return {
        layer: torch.stack([weight * own[layer] for own, weight in zip(styles, weights, strict=True)]).sum(0)
        for layer in styles[0]
    }


def relative_distance(found: Tensor, target: Tensor) -> Tensor:
    """Return ||found - target||^2 / ||target||^2.

    Gatys divides by the sizes of maps, which suits VGG with its weights scaled to mean activations of one; this
    division brings the layers of any network to one scale.
    """
    return (found - target).square().sum() / target.square().sum().clamp_min(1e-12)


def distances(found: Tensor, targets: Tensor) -> Tensor:
    """N x ... and N x ... -> N, `relative_distance` of each."""
    missing, whole = ((one.flatten(1).square().sum(1)) for one in (found - targets, targets))
    return missing / whole.clamp_min(1e-12)


def total_variation(pixels: Tensor) -> Tensor:
    """N x C x H x W in 0..1 -> mean square of differences between neighbours (Mahendran and Vedaldi 2015)."""
    down = (pixels[..., 1:, :] - pixels[..., :-1, :]).square().mean()
    right = (pixels[..., :, 1:] - pixels[..., :, :-1]).square().mean()
    return down + right
