"""What twice the training data is worth: errors at some sizes in, the gain in accuracy with its interval out.

The mean error of n images is taken to be a + b n^-c (C. Cortes et al. 1993, Learning Curves: Asymptotic Values and Rate
of Convergence). Four sizes cannot tell a from c, so all pairs of a grid count, each as much as the errors support it
and with a prior: most of the prior for the asymptote a is below a third of the error that is left, as features that
transfer well leave little that no data would mend, and exponents around 1/2 are the commonest. The gain is the mean
over the grid, the interval its quantiles. `bench/advice.py` measured how right that is, and chose the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sightline.training.heads.learning_curve import MeasuredCurve

FLOAT64 = NDArray[np.float64]
CONFIDENCE = 0.95
_ASYMPTOTES = np.linspace(0, 0.95, 20)  # shares of the error at the largest size
_EXPONENTS = np.linspace(0.02, 1.5, 38)
_ASYMPTOTE = 0.2  # mean of the exponential prior
_EXPONENT = (0.5, 0.4)  # mean and deviation of the normal prior
# What no law explains: deviation of an error, and of a gain as a share of itself.
_MISFIT = 0.003, 0.02
_EXTRAPOLATION = 0.25
_STEPS = 400  # of the distribution of a gain
_BORROWED = 4.0  # images with the overall error that are added to a class for its present error


@dataclass(frozen=True)
class Gain:
    """A gain in accuracy or recall, a share in -1..1, and its interval at `CONFIDENCE`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassGain:
    """What twice the data, of all classes, is worth for one class: its id, images that judged it, recall and gain."""

    label: int
    images: int
    recall: float
    gain: Gain


@dataclass(frozen=True)
class Doubling:
    """What twice the training data is worth, over all images and by class, the largest gain first.

    `error` is that expected of all the training data there is, on images left out.
    """

    error: float
    overall: Gain
    classes: tuple[ClassGain, ...]


def gain_of_doubling(curve: MeasuredCurve, count: int) -> Doubling:
    """Return what twice the data is expected to gain.

    Args:
        curve: of the train split.
        count: images in the train split.
    """
    wrong = np.stack([part.mean(0) for part in curve.wrong]).astype(np.float64)  # S x N
    overall, _, error = _gain(wrong, curve.sizes, count)
    return Doubling(error, overall, _class_gains(wrong, curve, count, overall))


def _gain(wrong: FLOAT64, sizes: FLOAT64, count: int) -> tuple[Gain, float, float]:
    """Return the gain of S x N errors, its deviation, and the error of all `count` images."""
    errors, images = wrong.mean(1), wrong.shape[1]
    spread = np.cov(wrong) / images if images > 1 else np.zeros((len(sizes), len(sizes)))
    # Few images without an error do not prove that there is none: half an image more of deviation.
    least = (0.25 / images) * np.eye(len(sizes)) / images
    noise = spread + least + np.diag((_MISFIT[0] + _MISFIT[1] * errors) ** 2)
    means, deviations, weights, left = _laws(errors, noise, sizes, count)
    mean = float(weights @ means)
    deviation = float(np.sqrt(weights @ (deviations**2 + (means - mean) ** 2)))
    steps = np.linspace(0, float(errors[-1]) + 0.02, _STEPS)
    below = weights @ ndtr((steps - means[:, None]) / np.maximum(deviations[:, None], 1e-9))
    low, high = np.interp([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], below, steps)
    return Gain(mean, float(low), float(high)), deviation, float(weights @ left)


def _laws(errors: FLOAT64, noise: FLOAT64, sizes: FLOAT64, count: int) -> tuple[FLOAT64, FLOAT64, FLOAT64, FLOAT64]:
    """Return mean and deviation of the gain under each law of the grid, how much it counts, and its error now.

    b is found by least squares under the S x S covariance of the errors, and integrated over (a flat prior, where
    errors are relative to the largest size).
    """
    asymptotes, exponents = (axis.ravel() for axis in np.meshgrid(_ASYMPTOTES, _EXPONENTS))
    precision = np.linalg.inv(noise)
    falls = (sizes / sizes[-1]) ** -exponents[:, None]
    above = errors - asymptotes[:, None] * errors[-1]
    weighted = falls @ precision
    norm = (weighted * falls).sum(1)
    scale = (weighted * above).sum(1) / norm
    rest = above - scale[:, None] * falls
    chance = -0.5 * ((rest @ precision) * rest).sum(1) - 0.5 * np.log(norm)
    mean, deviation = _EXPONENT
    chance = chance - asymptotes / _ASYMPTOTE - 0.5 * ((exponents - mean) / deviation) ** 2
    weights = np.exp(chance - chance.max())
    now = count / sizes[-1]
    won = now**-exponents - (2 * now) ** -exponents
    scale = np.maximum(scale, 0)
    gains, left = scale * won, asymptotes * errors[-1] + scale * now**-exponents
    return gains, np.sqrt(won**2 / norm + (_EXTRAPOLATION * gains) ** 2), weights / weights.sum(), left


def _class_gains(wrong: FLOAT64, curve: MeasuredCurve, count: int, overall: Gain) -> tuple[ClassGain, ...]:
    """Return the gain of each class, drawn towards the share of its error that is won over all classes.

    Classes have few images, so most of what differs between their curves is chance. What remains of the variance of
    the classes' gains, less that of their noise, says how far each is drawn (R. DerSimonian and N. Laird 1986).
    """
    labels, images = np.unique(curve.labels, return_counts=True)
    found = [_gain(wrong[:, curve.labels == label], curve.sizes, count) for label in labels]
    last = wrong[-1]
    error = float(last.mean())
    errors = np.array([float(last[curve.labels == label].mean()) for label in labels])
    steadied = (errors * images + error * _BORROWED) / (images + _BORROWED)
    expected = steadied * (overall.value / error if error else 0.0)
    values, noise = np.array([one[0].value for one in found]), np.array([one[1] for one in found]) ** 2
    true = max(0.0, float(((values - expected) ** 2 - noise).mean()))
    share = true / np.maximum(true + noise, 1e-12)
    drawn = share * values + (1 - share) * expected
    half = 1.96 * np.sqrt(share * noise + (expected * _relative_spread(overall)) ** 2)
    columns = (labels, images, 1 - errors, drawn, np.maximum(drawn - half, 0), drawn + half)
    gains = [
        ClassGain(label, size, recall, Gain(*gain))
        for label, size, recall, *gain in zip(*(one.tolist() for one in columns), strict=True)
    ]
    return tuple(sorted(gains, key=lambda one: (-one.gain.value, one.label)))


def _relative_spread(overall: Gain) -> float:
    """Return the deviation of the overall gain as a share of it."""
    return (overall.high - overall.low) / (2 * 1.96 * overall.value) if overall.value > 0 else 0.0
