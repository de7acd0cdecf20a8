"""Images made by gradient ascent, so that they excite a unit as much as possible (Olah, Mordvintsev, Schubert 2017)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from sightline.data.structures import UINT8

Objective = Callable[[Tensor], Tensor]
_RATE = 0.03  # of Adam
_SHIFT = 16  # images are moved by up to a 16th of their side in each step
_START = 0.05  # deviation of the spectrum that the ascent begins with
_CONTRAST = 1.5  # of the image before it is brought into 0..255


class Spectrum:
    """Images as weights of waves, the long ones scaled up, so that ascent makes shapes before it makes noise.

    Args:
        count: N images.
        size: S, height and width in pixels.
        channels: C.
        seed: of the first weights, which are drawn on the CPU.
        device: where they are kept.
    """

    def __init__(self, count: int, size: int, channels: int, seed: int, device: torch.device) -> None:
        self.size = size
        generator = torch.Generator().manual_seed(seed)
        shape = (count, channels, size, size // 2 + 1, 2)
        self.weights = (_START * torch.randn(shape, generator=generator)).to(device).requires_grad_()
        frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
        scale = 1 / np.maximum(frequency, 1 / size)
        self.scale = torch.from_numpy(scale.astype(np.float32))[..., None].to(device)

    def images(self) -> Tensor:
        """Return N x C x S x S in 0..255."""
        waves = torch.view_as_complex((self.weights * self.scale).contiguous())
        pixels = torch.fft.irfft2(waves, s=(self.size, self.size), norm="ortho")
        return 255 * torch.sigmoid(_CONTRAST * pixels)


def ascended(
    objective: Objective, count: int, size: int, channels: int, steps: int, seed: int, device: torch.device
) -> tuple[UINT8, UINT8]:
    """Make one image for each of N units.

    In each step the images are moved a little at random (jitter) and every second time blurred (Yosinski et al. 2015),
    so that they do not depend on single pixels.

    Args:
        objective: N x S x S x C float images in 0..255 -> how excited the unit of each image is.
        count: N.
        size: S.
        channels: C.
        steps: of Adam.
        seed: of the start and the jitter.
        device: of the objective.

    Returns:
        The images that ascent began with, and those that it made: N x S x S x C uint8.
    """
    spectrum = Spectrum(count, size, channels, seed, device)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam([spectrum.weights], lr=_RATE)
    reach = max(1, size // _SHIFT)
    before = _pixels(spectrum)
    for step in range(steps):
        shift = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        images = torch.roll(spectrum.images(), shift, (2, 3))
        if step % 2:
            images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        optimizer.zero_grad()
        loss = -objective(images.permute(0, 2, 3, 1)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return before, _pixels(spectrum)


def _pixels(spectrum: Spectrum) -> UINT8:
    with torch.no_grad():
        pixels: UINT8 = spectrum.images().permute(0, 2, 3, 1).round().byte().cpu().numpy()
    return pixels
