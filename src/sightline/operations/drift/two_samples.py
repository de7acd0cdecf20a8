"""Two samples in, the chance that they come from one source out: kernel, Kolmogorov-Smirnov and chi-square tests.

Whatever is estimated on the way (scales, components, bandwidths, rare classes) is estimated from both samples together,
so it stays the same however images are divided, and the p-values hold without further correction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32

FLOAT64 = NDArray[np.float64]
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the median distance: fine differences, and coarse ones
_EXPECTED = 5.0  # images of a class in either sample, below which it is joined with the other rare ones


def mmd_test(
    reference: FLOAT32, recent: FLOAT32, permutations: int, seed: int, bandwidths: Sequence[float] = BANDWIDTHS
) -> tuple[float, float]:
    """Compare two samples of vectors by their maximum mean discrepancy (Gretton et al. 2012, equation 3).

    Gaussian kernels of several widths are each ranked among permutations of both samples, and the smallest rank is
    ranked among those of the permutations again, so the p-value is exact whichever width fits (Schrab et al. 2023).

    Args:
        reference: N x D.
        recent: M x D.
        permutations: of the images of both.
        seed: of the permutations.
        bandwidths: of the kernels, in medians of the distances of both samples.

    Returns:
        The p-value, at least 1 / (permutations + 1), and the discrepancy at the median bandwidth (squared, unbiased).
    """
    from sklearn.metrics.pairwise import euclidean_distances

    joined = np.concatenate([reference, recent]).astype(np.float64)
    squares = euclidean_distances(joined, squared=True)
    apart = squares[np.triu_indices(len(joined), 1)]
    median = float(np.median(apart[apart > 0])) if (apart > 0).any() else 0.0
    if median == 0:
        return 1.0, 0.0
    members = _divisions(len(reference), len(recent), permutations, seed)
    values = np.stack([_discrepancies(np.exp(-squares / (2 * median * width**2)), members) for width in bandwidths])
    # Ranks from above, ties counted against drift: the share of divisions that are at least as far apart.
    order = np.sort(values, axis=1)
    pairs = zip(values, order, strict=True)
    shares = np.stack([len(row) - np.searchsorted(ascending, row, "left") for row, ascending in pairs])
    smallest = shares.min(0)
    middle = int(np.argmin(np.abs(np.log(np.asarray(bandwidths)))))
    return float((smallest <= smallest[0]).mean()), float(values[middle, 0])


def _divisions(first: int, second: int, permutations: int, seed: int) -> FLOAT32:
    """Return (N + M) x (permutations + 1) of 1 for members of the first sample, else 0; column 0 is how they came."""
    rng = Generator(Philox(seed))
    came = np.concatenate([np.ones(first, np.float32), np.zeros(second, np.float32)])
    rows = np.broadcast_to(came, (permutations, first + second))
    return np.ascontiguousarray(np.concatenate([came[None], rng.permuted(rows, axis=1)]).T)


def _discrepancies(kernel: FLOAT64, members: FLOAT32) -> FLOAT64:
    """Return the unbiased squared discrepancy of each division from one product of matrices."""
    kernel = kernel.copy()
    np.fill_diagonal(kernel, 0.0)
    first = members[:, 0].sum()
    second = len(members) - first
    within = np.einsum("np,np->p", kernel.astype(np.float32) @ members, members, dtype=np.float64)
    touching = kernel.sum(1) @ members.astype(np.float64)  # the first sample with everything
    across = touching - within
    rest = kernel.sum() - 2 * touching + within
    found: FLOAT64 = within / (first * (first - 1)) + rest / (second * (second - 1)) - 2 * across / (first * second)
    return found


def principal_components(reference: FLOAT32, recent: FLOAT32, most: int) -> tuple[FLOAT32, FLOAT32]:
    """Return both samples, N x D and M x D, by at most `most` principal components of all their standardised values.

    Few components and tests on them find shifts better than many raw dimensions (Rabanser et al. 2019, section 4).
    """
    from sklearn.decomposition import PCA

    joined = np.concatenate([reference, recent]).astype(np.float64)
    spread = joined.std(0)
    varied = spread > 1e-9 * max(1.0, float(np.abs(joined).max()))
    if not varied.any():
        return np.zeros((len(reference), 1), np.float32), np.zeros((len(recent), 1), np.float32)
    scaled = (joined[:, varied] - joined[:, varied].mean(0)) / spread[varied]
    count = min(most, scaled.shape[1], len(scaled) - 1)
    found = PCA(count, svd_solver="full").fit_transform(scaled).astype(np.float32)
    return found[: len(reference)], found[len(reference) :]


def ks_test(reference: FLOAT64, recent: FLOAT64) -> tuple[float, float]:
    """Return the p-value and distance of the two-sided Kolmogorov-Smirnov test on N and M numbers."""
    from scipy.stats import ks_2samp

    found = ks_2samp(reference, recent, method="auto")
    return float(found.pvalue), float(found.statistic)


def ks_tests(reference: FLOAT32, recent: FLOAT32) -> tuple[float, int, int]:
    """Test every dimension of N x D and M x D vectors by Kolmogorov-Smirnov.

    Returns:
        The least p-value after Holm's correction over the dimensions, that dimension, and how many are below 0.05.
    """
    raw = [ks_test(one, other)[0] for one, other in zip(reference.T, recent.T, strict=True)]
    corrected = holm(raw)
    least = int(np.argmin(corrected))
    return corrected[least], least, sum(p < 0.05 for p in corrected)


def class_test(reference: NDArray[np.int64], recent: NDArray[np.int64], classes: int) -> tuple[float, int]:
    """Compare the shares of N and M predicted class ids by Pearson's chi-square test; rare classes count as one.

    Returns:
        The p-value, and the class whose share has changed most.
    """
    from scipy.stats import chi2_contingency

    counts = np.stack([np.bincount(own, minlength=classes) for own in (reference, recent)]).astype(np.float64)
    shares = counts / counts.sum(1, keepdims=True)
    changed = int(np.abs(shares[1] - shares[0]).argmax())
    total = counts.sum(0)
    rare = total * counts.sum(1).min() / counts.sum() < _EXPECTED
    table = np.concatenate([counts[:, ~rare], counts[:, rare].sum(1, keepdims=True)], axis=1)
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2:
        return 1.0, changed
    return float(chi2_contingency(table, correction=False).pvalue), changed


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that those below alpha hold together with error at most alpha (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
