"""Features made by hand: pixels, a Gabor bank, histograms of oriented gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from sightline.data.structures import FLOAT32, UINT8
from sightline.training.features.base import Extractor, Vectors


class Pixels(Extractor):
    """The values of all pixels in 0..1, row by row."""

    def __init__(self, size: int, channels: int) -> None:
        self.dimensions = {"pixels": size * size * channels}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x S^2 C."""
        return {"pixels": images.reshape(len(images), -1).astype(np.float32) / np.float32(255)}


class Gabor(Extractor):
    """Mean energy of Gabor filters in the cells of a grid (Manjunath and Ma 1996, section 2).

    Args:
        wavelengths: pixels per period, one ring of filters each.
        orientations: of each ring, equally far apart in half a turn.
        grid: cells along each side.
        channels: of the images, whose means and deviations in each cell are features too; 0: they are not.
    """

    def __init__(self, wavelengths: Sequence[float], orientations: int, grid: int, channels: int = 0) -> None:
        self.rings = [_ring(wavelength, orientations) for wavelength in wavelengths]
        self.grid, self.statistics = grid, channels > 0
        self.maps = {"gabor": (len(wavelengths) * orientations + 2 * channels, grid, grid)}
        self.dimensions = {"gabor": math.prod(self.maps["gabor"])}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x ((rings x orientations + 2 C or 0) x grid^2), values in 0..1."""
        grey = torch.from_numpy(grey_values(images)).unsqueeze(1).float() / 255
        found = []
        with torch.inference_mode():
            for kernels in self.rings:
                margin = kernels.shape[-1] // 2
                answers = F.conv2d(F.pad(grey, (margin,) * 4, mode="replicate"), kernels)
                even, odd = answers.chunk(2, dim=1)  # a quadrature pair: energy is the same for edges and lines
                found.append(F.adaptive_avg_pool2d((even**2 + odd**2).sqrt(), self.grid).flatten(1))
            if self.statistics:
                colour = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255  # the variance is a difference
                mean, square = (F.adaptive_avg_pool2d(values, self.grid) for values in (colour, colour**2))
                found += [mean.float().flatten(1), (square - mean**2).clamp_min(0).sqrt().float().flatten(1)]
        return {"gabor": np.asarray(torch.cat(found, 1).numpy(), np.float32)}


class Hog(Extractor):
    """Histograms of oriented gradients by OpenCV (Dalal and Triggs 2005): L2-Hys blocks that overlap by all but a cell.

    Args:
        size: height and width of the images, pixels; a multiple of `cell`.
        cell: pixels, both sides.
        block: cells, both sides.
        bins: orientations in half a turn.
    """

    def __init__(self, size: int, cell: int, block: int, bins: int) -> None:
        side, step = (block * cell, block * cell), (cell, cell)
        self.descriptor = cv2.HOGDescriptor((size, size), side, step, step, bins)
        self.dimensions = {"hog": self.descriptor.getDescriptorSize()}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x (blocks x cells of a block x bins)."""
        vectors = [self.descriptor.compute(image) for image in images]
        return {"hog": np.stack(vectors).reshape(len(images), -1).astype(np.float32, copy=False)}


def _ring(wavelength: float, orientations: int) -> Tensor:
    """Return 2 O x 1 x K x K kernels without mean: the even ones, then the odd ones; one octave wide."""
    sigma, aspect = 0.56 * wavelength, 0.5
    side = 2 * int(np.ceil(2.5 * sigma)) + 1
    angles = np.pi * np.arange(orientations) / orientations
    kernels = np.stack(
        [
            cv2.getGaborKernel((side, side), sigma, float(angle), wavelength, aspect, phase, cv2.CV_32F)
            for phase in (0.0, -np.pi / 2)
            for angle in angles
        ]
    )
    kernels -= kernels.mean((1, 2), keepdims=True)  # so that brightness has no energy
    kernels /= np.abs(kernels).sum((1, 2), keepdims=True)
    return torch.from_numpy(kernels).unsqueeze(1)


def grey_values(images: UINT8) -> UINT8 | FLOAT32:
    """N x S x S x C uint8 -> N x S x S by the weights of ITU-R BT.601, as OpenCV has them."""
    if images.shape[3] == 1:
        return images[..., 0]
    grey: FLOAT32 = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey
