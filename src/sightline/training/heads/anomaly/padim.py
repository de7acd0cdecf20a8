"""PaDiM (T. Defard et al. 2021, PaDiM: a Patch Distribution Modeling Framework, arXiv:2011.08785)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import FLOAT32
from sightline.system.errors import UserError
from sightline.training.heads.anomaly.scaling import Scaling

_MOST_NUMBERS = 64_000_000  # of all covariances: 512 MB while they are added up
_Patches = Callable[[], Iterator[FLOAT32]]  # yields N x P x C, all train images in the end, as often as it is called


class PlaceGaussians:
    """A Gaussian for each of P places.

    Args:
        channels: the D channels that are used.
        centre: P x D means.
        whitening: P x D x D, W with W^T W = the inverse of the covariance.
        scaling: of the features that come, all channels.
    """

    def __init__(self, channels: NDArray[np.int64], centre: FLOAT32, whitening: FLOAT32, scaling: Scaling) -> None:
        self.channels, self.centre, self.whitening, self.scaling = channels, centre, whitening, scaling

    def score(self, patches: FLOAT32) -> tuple[None, FLOAT32]:
        """N x P x C -> None, as an image's score is that of its heat map, and Mahalanobis distances of N x P places."""
        apart = self.scaling(patches)[..., self.channels] - self.centre
        white = self.whitening @ apart.transpose(1, 2, 0)  # P x D x N
        distances: FLOAT32 = np.sqrt(np.einsum("pdn,pdn->np", white, white))
        return None, distances

    def tensors(self) -> dict[str, Any]:
        """Return what makes it again, with `from_tensors`."""
        own = {"channels": self.channels, "centre": self.centre, "whitening": self.whitening}
        return own | self.scaling.tensors()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any]) -> PlaceGaussians:
        """Make it again."""
        return cls(tensors["channels"], tensors["centre"], tensors["whitening"], Scaling.from_tensors(tensors))


def gaussians_of(
    patches: _Patches, places: int, channels: int, used: int, shrinkage: float, standardize: bool, seed: int
) -> PlaceGaussians:
    """Fit the Gaussians, image by image: memory does not grow with their number.

    Args:
        patches: of all good train images.
        places: P.
        channels: C.
        used: of the channels at most, drawn at random: as good as principal components (section IV.B).
        shrinkage: added to each variance, so that covariances can be inverted (equation 1).
        standardize: whether channels are scaled first.
        seed: of the draw.

    Raises:
        UserError: more covariances than memory should hold.
    """
    used = min(used, channels)
    if places * used**2 > _MOST_NUMBERS:
        side = int((_MOST_NUMBERS / used**2) ** 0.5)
        raise UserError(
            f"channels: {used}: {places:,} places with a covariance of {used} x {used} each take too much memory; "
            f"lower channels, or embed at most {side} x {side} places (pyramid, or grid of gabor)"
        )
    random = np.random.Generator(np.random.Philox(key=[seed, 4]))
    chosen = np.sort(random.permutation(channels)[:used]).astype(np.int64)
    scaling = _scaling(patches, channels) if standardize else Scaling.none(channels)
    count, sums, products = 0, np.zeros((places, used)), np.zeros((places, used, used))
    for own in patches():
        values = scaling(own)[..., chosen].transpose(1, 0, 2).astype(np.float64)  # P x N x D
        count += values.shape[1]
        sums += values.sum(1)
        products += values.transpose(0, 2, 1) @ values
    centre = sums / count
    products -= count * (centre[:, :, None] * centre[:, None])
    products /= max(count - 1, 1)
    products[:, np.arange(used), np.arange(used)] += shrinkage
    whitening = np.linalg.inv(np.linalg.cholesky(products))
    return PlaceGaussians(chosen, centre.astype(np.float32), whitening.astype(np.float32), scaling)


def _scaling(patches: _Patches, channels: int) -> Scaling:
    count, sums, squares = 0, np.zeros(channels), np.zeros(channels)
    for own in patches():
        wide = own.reshape(-1, channels).astype(np.float64)
        count += len(wide)
        sums += wide.sum(0)
        squares += (wide**2).sum(0)
    return Scaling.of_sums(count, sums, squares)
