"""Keeps the colours of the content: by its chrominance, or by a style that is given its colours first.

Source: Gatys, Bethge, Hertzmann and Shechtman 2016, "Preserving color in neural artistic style transfer".
"""

from __future__ import annotations

import torch
from torch import Tensor

# Luminance and chrominance of NTSC, as in the paper; rows Y, I, Q.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_LEAST = 1e-5  # of a variance, for pictures of one colour


def to_yiq(pixels: Tensor) -> Tensor:
    """N x 3 x H x W RGB in 0..1 -> Y in 0..1, I and Q around 0."""
    return torch.einsum("kc,nchw->nkhw", _YIQ.to(pixels), pixels)


def to_rgb(yiq: Tensor) -> Tensor:
    """N x 3 x H x W YIQ -> RGB, not clipped."""
    return torch.einsum("ck,nkhw->nchw", torch.linalg.inv(_YIQ).to(yiq), yiq)


def luminance(pixels: Tensor) -> Tensor:
    """N x 3 x H x W RGB -> N x 1 x H x W."""
    return to_yiq(pixels)[:, :1]


def with_luminance(pixels: Tensor, light: Tensor) -> Tensor:
    """Return N x 3 x H x W pixels with another luminance (N x 1 x H x W) and the colours that they have, in 0..1."""
    return to_rgb(torch.cat([light, to_yiq(pixels)[:, 1:]], 1)).clamp(0, 1)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """Shift and scale the luminance of a style, N x 1 x H x W, to mean and deviation of the content's (equation 10)."""
    scale = content.std() / style.std().clamp_min(_LEAST)
    return (style - style.mean()) * scale + content.mean()


def transfer_colours(style: Tensor, content: Tensor) -> Tensor:
    """Give a style picture mean and covariance of the content's colours (section 3, Image Analogies' linear map).

    1 x 3 x H x W RGB in 0..1 -> the same, x' = A x + b with A = C^(1/2) S^(-1/2).
    """
    own, goal = style[0].reshape(3, -1), content[0].reshape(3, -1)
    matrix = _root(torch.cov(goal)) @ torch.linalg.inv(_root(torch.cov(own)))
    moved: Tensor = matrix @ (own - own.mean(1, keepdim=True)) + goal.mean(1, keepdim=True)
    return moved.reshape(style.shape).clamp(0, 1)


def _root(covariance: Tensor) -> Tensor:
    """Return the symmetric square root of a positive matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors @ torch.diag(values.clamp_min(_LEAST).sqrt()) @ vectors.T
    return root
