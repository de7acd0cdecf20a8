"""Turned rectangles as Gaussians, and as five numbers without a jump at any angle.

A rectangle stands for the Gaussian around its centre whose standard deviations along its sides are half of them (Yang
et al. 2021, arXiv:2101.11952). Two descriptions of one rectangle, as by exchanged sides and a quarter turn, are one
Gaussian; those of a square are the same at all angles.

A network predicts the logarithm of the standard deviations as a symmetric matrix, m I + [[p, q], [q, -p]]: p and q are
half the logarithm of the sides' ratio times cosine and sine of twice the angle. So any five numbers are a rectangle,
they depend on it continuously, and their means are rectangles in between (Arsigny et al. 2006, log-Euclidean means).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sightline.models.detect.anchors import USUAL

CODES = 5  # x, y of the centre from the point, in strides; m, p, q
_MOST_M, _MOST_D = 6.0, 3.0  # bounds against overflow; sides up to 400 times this, and 400 times one another
_TINY = 1e-12


def encode(rectangles: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return n x 5 codes of rectangles as seen from points.

    Args:
        rectangles: n x 5 cx, cy, width, height, angle in radians; pixels.
        points: n x 2 pixels.
        strides: n, pixels.
    """
    centre = (rectangles[:, :2] - points) / strides[:, None]
    width, height = (rectangles[:, 2:4] / (2 * USUAL * strides[:, None])).clamp_min(_TINY).log().unbind(1)
    half, twice = (width - height) / 2, 2 * rectangles[:, 4]
    return torch.cat(
        [centre, torch.stack([(width + height) / 2, half * twice.cos(), half * twice.sin()], 1)],
        1,
    )


def decode(codes: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return ... x A x 5 rectangles, the longer side first; the inverse of `encode`.

    Args:
        codes: ... x A x 5.
        points: A x 2 pixels.
        strides: A, pixels.
    """
    mean, p, q, ratio = _bounded(codes)
    centre = codes[..., :2] * strides[:, None] + points
    sides = torch.stack([mean + ratio, mean - ratio], -1).exp() * (2 * USUAL * strides[:, None])
    angle = torch.atan2(q, p) / 2
    return torch.cat([centre, sides, torch.where(angle >= math.pi / 2, angle - math.pi, angle)[..., None]], -1)


def mirrored(codes: Tensor) -> Tensor:
    """... x 5 codes -> those of the rectangles in the mirrored image."""
    x, y, mean, p, q = codes.unbind(-1)
    return torch.stack([-x, y, mean, p, -q], -1)


def divergence(codes: Tensor, wanted: Tensor) -> Tensor:
    """Return n Kullback-Leibler divergences of Gaussians from wanted ones (Yang et al. 2021, arXiv:2106.01883).

    D = ((a - b)^T B^-1 (a - b) + tr(B^-1 A) + ln(|B| / |A|)) / 2 - 1, with A and a of the codes, B and b as wanted.

    Args:
        codes: n x 5.
        wanted: n x 5, seen from the same points.
    """
    mean, p, q, ratio = _bounded(codes)
    own_mean, own_p, own_q, own_ratio = _bounded(wanted)
    # In USUAL strides A = exp(2 m) (cosh 2d I + sinh 2d / d [[p, q], [q, -p]]), and its inverse has -m, -p and -q.
    even, odd = (2 * mean).exp() * (2 * ratio).cosh(), (2 * mean).exp() * (2 * ratio).sinh() / ratio
    own_scale = (-2 * own_mean).exp()
    own_even, own_odd = own_scale * (2 * own_ratio).cosh(), own_scale * (2 * own_ratio).sinh() / own_ratio
    x, y = ((codes[:, :2] - wanted[:, :2]) / USUAL).unbind(1)
    apart = own_even * (x**2 + y**2) - own_odd * (own_p * (x**2 - y**2) + 2 * own_q * x * y)
    trace = 2 * (even * own_even - odd * own_odd * (p * own_p + q * own_q))
    return (apart + trace) / 2 + 2 * (own_mean - mean) - 1


def gaussian_loss(codes: Tensor, wanted: Tensor) -> Tensor:
    """Return n losses in 0..1: 1 - 1 / (1 + ln(1 + D)), which the same paper takes of the divergence."""
    return 1 - 1 / (1 + divergence(codes, wanted).clamp_min(0).log1p())


def _bounded(codes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return m, p, q and the length of (p, q), within bounds; the length is never 0."""
    mean = codes[..., 2].clamp(-_MOST_M, _MOST_M)
    p, q = codes[..., 3], codes[..., 4]
    length = (p**2 + q**2 + _TINY).sqrt()
    shrunk = (_MOST_D / length).clamp_max(1.0)
    return mean, p * shrunk, q * shrunk, length * shrunk
