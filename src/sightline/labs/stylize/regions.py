"""Regions of content and style that belong together: sky to sky, buildings to buildings.

Source: Luan, Paris, Shechtman and Bala 2017, "Deep photo style transfer" (arXiv:1703.07511), section 3.2.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from sightline.data.images import decode
from sightline.system.errors import UserError

_MOST = 16  # colours of a map; more are those of a photograph, or of a JPEG


def read_regions(content: Path, style: Path, content_shape: tuple[int, int], style_shape: tuple[int, int]) -> Regions:
    """Read two maps, pictures of one colour per region; equal colours are regions that belong together.

    Args:
        content: the content's map, of any size.
        style: the style's map.
        content_shape: height and width of the content, to which its map is brought.
        style_shape: the same of the style.

    Raises:
        UserError: a map is missing or no map, or a region of the content is none of the style.
    """
    maps = {content: _read_map(content, content_shape), style: _read_map(style, style_shape)}
    there, offered = (np.unique(maps[path]) for path in (content, style))
    missing = [f"#{colour:06x}" for colour in np.setdiff1d(there, offered).tolist()]
    if missing:
        known = ", ".join(f"#{colour:06x}" for colour in offered.tolist())
        raise UserError(
            f"regions.style: {style}: has no pixel of {', '.join(missing)}, which {content} has; it has {known}; "
            "give regions that belong together the same colour"
        )
    return Regions(*(_masks(maps[path], there) for path in (content, style)))


class Regions:
    """Masks of R regions.

    Args:
        content: R x H x W float32, 1 in the region.
        style: R x H x W float32 of the style's size.
    """

    def __init__(self, content: Tensor, style: Tensor) -> None:
        self.content, self.style = content, style

    @property
    def shares(self) -> list[float]:
        """The share of each region in the content; they sum to 1."""
        return [float(share) for share in self.content.mean((1, 2))]


def pooled(masks: Tensor, margin: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """R x H x W masks -> R x M: the share of each region at the M places of a layer's map.

    Args:
        masks: of a picture.
        margin: rows and columns by which the picture was mirrored beyond its borders.
        shape: height and width of the map.
    """
    down, right = margin
    wide = F.pad(masks[None], (right, right, down, down), mode="reflect")
    return F.adaptive_avg_pool2d(wide, shape)[0].flatten(1)


def _read_map(path: Path, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return H x W numbers, red, green and blue in one, of a picture brought to a size without new colours."""
    if not path.is_file():
        raise UserError(f"{path}: no such map of regions; name a PNG with one colour per region")
    try:
        pixels = decode(path.read_bytes(), 3)
    except ValueError as error:
        raise UserError(f"{path}: not a readable picture ({error}); save it as PNG") from None
    sized = cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.int64)
    numbers: NDArray[np.int64] = sized @ np.array([1 << 16, 1 << 8, 1])
    count = len(np.unique(numbers))
    if count > _MOST:
        raise UserError(f"{path}: {count} colours, at most {_MOST} are allowed; save the map as PNG, not as JPEG")
    return numbers


def _masks(numbers: NDArray[np.int64], colours: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.stack([numbers == colour for colour in colours])).float()
