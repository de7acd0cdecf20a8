"""HMAX: layers of simple cells that match and complex cells that take the strongest (Riesenhuber and Poggio 1999).

The plan is the Neocognitron's (Fukushima 1980), here with fixed Gabor filters below and prototypes out of training
images above, as Serre, Wolf, Bileschi, Riesenhuber and Poggio 2007 have it ("Robust object recognition with
cortex-like mechanisms", section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sightline.data.structures import FLOAT32, UINT8
from sightline.training.features.base import Extractor, Vectors
from sightline.training.features.handmade import grey_values

FILE = "prototypes.safetensors"
_LEAST = 0.02  # of white: the root mean square of a window below which it has no contrast


class Hmax(Extractor):
    """How near each prototype comes to an image, wherever and on whatever scale it does.

    - S1: Gabor filters, divided by the strength of the window, so that they lie in 0..1 whatever the contrast.
    - C1: the strongest in a square of positions and in the filters of two neighbouring sizes (a band), as maps of half
      as many positions as the square has.
    - S2: exp(-|X - P|^2 / (2 s^2 a)) of each position's neighbourhood X and a prototype P of C1 values of all
      orientations; a = (side of P / 4)^2 evens out the sizes (Mutch and Lowe 2006, equation 2), s is `width`.
    - C2: the strongest over all positions and bands.

    Args:
        sizes: sides of the filters, pixels, odd; each two that follow are a band.
        orientations: of the filters, equally far apart in half a turn.
        pool: side of the first band's squares, pixels, even; each further band's are two pixels larger.
        prototypes: of each size.
        patches: sides of prototypes, positions of C1.
        width: of the match.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        orientations: int,
        pool: int,
        prototypes: int,
        patches: Sequence[int],
        width: float,
    ) -> None:
        self.bands = [
            (_bank(small, orientations), _bank(large, orientations))
            for small, large in zip(sizes[::2], sizes[1::2], strict=True)
        ]
        self.pools = [pool + 2 * place for place in range(len(self.bands))]
        self.count, self.patches, self.width = prototypes, patches, width
        self.prototypes = [torch.zeros(prototypes, orientations, side, side) for side in patches]
        self.dimensions = {"hmax": prototypes * len(patches)}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x (patches x prototypes), in 0..1."""
        with torch.inference_mode():
            bands = self._complex(images)
            found = [self._nearest(bands, own) for own in self.prototypes]
        return {"hmax": np.asarray(torch.cat(found, 1).numpy(), np.float32)}

    def fit(self, batches: Callable[[], Iterator[UINT8]], count: int, seed: int) -> None:
        """Take prototypes out of the C1 maps of images drawn evenly: of a band and a place with strong answers.

        Serre et al. draw places evenly; of characters most would be paper.
        """
        random = _generator(seed, 0)
        # Which image each prototype comes from: all images equally often where there are more prototypes.
        order = np.concatenate([random.permutation(count) for _ in range(-(-self.count // count))])[: self.count]
        start = 0
        with torch.inference_mode():
            for images in batches():
                wanted = np.flatnonzero((order >= start) & (order < start + len(images)))
                if len(wanted):
                    rows = order[wanted] - start
                    bands = self._complex(np.ascontiguousarray(images[rows]))
                    for place, number in enumerate(wanted):
                        random = _generator(seed, 1 + int(number))  # whatever the batches
                        for own in self.prototypes:
                            own[number] = _drawn([band[place] for band in bands], own.shape[-1], random)
                start += len(images)

    def write(self, folder: Path) -> None:
        """Write the prototypes."""
        from safetensors.numpy import save_file

        save_file({str(place): own.numpy() for place, own in enumerate(self.prototypes)}, folder / FILE)

    def read(self, folder: Path) -> None:
        """Read the prototypes that `write` wrote."""
        from safetensors.torch import load_file

        tensors = load_file(folder / FILE)
        self.prototypes = [tensors[str(place)] for place in range(len(self.patches))]

    def _complex(self, images: UINT8) -> list[Tensor]:
        """N x S x S x C uint8 -> C1: for each band N x orientations x H x W in 0..1."""
        grey = torch.from_numpy(np.asarray(grey_values(images), np.float32)).unsqueeze(1) / 255
        maps = []
        for banks, pool in zip(self.bands, self.pools, strict=True):
            strongest = torch.stack([_simple(grey, bank) for bank in banks]).amax(0)
            side = min(pool, *strongest.shape[-2:])
            maps.append(functional.max_pool2d(strongest, side, max(1, side // 2), ceil_mode=True))
        return maps

    def _nearest(self, bands: list[Tensor], prototypes: Tensor) -> Tensor:
        """C1 maps -> C2, N x prototypes."""
        side = prototypes.shape[-1]
        lengths = prototypes.square().sum((1, 2, 3))
        least: Tensor | None = None
        for band in bands:
            maps = _at_least(band, side)
            # |X - P|^2 = |X|^2 - 2 X P + |P|^2; X's own length is a convolution with ones.
            own = functional.conv2d(maps.square().sum(1, keepdim=True), torch.ones(1, 1, side, side))
            apart = (own - 2 * functional.conv2d(maps, prototypes)).flatten(2).amin(2) + lengths
            least = apart if least is None else torch.minimum(least, apart)
        assert least is not None
        return torch.exp(-least.clamp_min(0) / (2 * self.width**2 * (side / 4) ** 2))


def _generator(seed: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, number]))


def _simple(grey: Tensor, bank: Tensor) -> Tensor:
    """N x 1 x S x S -> S1, N x orientations x S x S in 0..1: the cosine between each window and each filter."""
    margin = bank.shape[-1] // 2
    padded = functional.pad(grey, (margin,) * 4, mode="replicate")
    numbers = bank.shape[-1] ** 2
    ones = torch.full((1, 1, *bank.shape[-2:]), 1 / numbers)
    mean, square = functional.conv2d(padded, ones), functional.conv2d(padded.square(), ones)
    strength = (square - mean.square()).clamp_min(_LEAST**2).mul(numbers).sqrt()
    return (functional.conv2d(padded, bank).abs() / strength).clamp_max(1)


def _bank(side: int, orientations: int) -> Tensor:
    """Return orientations x 1 x side x side filters of mean 0 and length 1.

    Widths and wavelengths are those that Serre et al. 2007 fitted to cells of area V1 (their table 1): a width of
    0.0036 s^2 + 0.35 s + 0.18 for a filter of s pixels, wavelength width / 0.8, aspect 0.3.
    """
    sigma = 0.0036 * side**2 + 0.35 * side + 0.18
    angles = np.pi * np.arange(orientations) / orientations
    kernels = np.stack(
        [cv2.getGaborKernel((side, side), sigma, float(angle), sigma / 0.8, 0.3, 0.0, cv2.CV_32F) for angle in angles]
    )
    y, x = np.mgrid[:side, :side] - side // 2
    kernels *= x**2 + y**2 <= (side / 2) ** 2  # round, so that no orientation has longer corners
    kernels -= kernels.mean((1, 2), keepdims=True)
    kernels /= np.linalg.norm(kernels, axis=(1, 2), keepdims=True)
    return torch.from_numpy(kernels).unsqueeze(1)


def _at_least(maps: Tensor, side: int) -> Tensor:
    """Return maps, filled up with zeros where they are smaller than a prototype."""
    short = [max(0, side - own) for own in maps.shape[-2:]]
    return functional.pad(maps, (0, short[1], 0, short[0])) if any(short) else maps


def _drawn(bands: list[Tensor], side: int, random: np.random.Generator) -> Tensor:
    """Return orientations x side x side out of one of an image's C1 maps, by the strength of each place."""
    maps = _at_least(bands[random.integers(len(bands))], side)
    strength = functional.avg_pool2d(maps.square().mean(0, keepdim=True), side, 1)[0].double().numpy()
    chances: FLOAT32 = (
        strength.ravel() / strength.sum() if strength.sum() > 0 else np.full(strength.size, 1 / strength.size)
    )
    row, column = divmod(int(random.choice(strength.size, p=chances)), strength.shape[1])
    return maps[:, row : row + side, column : column + side]
