"""Mask files: numbers or colours of pixels, and signs that a lossy step has changed them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.data.encoding import LossyMask, read_index_png
from sightline.data.raw.formats.mask_pairs import MaskedImage
from sightline.data.raw.formats.source import Unreadable
from sightline.system.errors import first_line

_RINGED = 0.25  # share of a mask's values, and
_FEWEST = 3  # their number, from which values between those of their neighbours come from smoothing


def read_mask(root: Path, image: MaskedImage, colours: bool = False) -> NDArray[np.uint32]:
    """Return the values of the mask of an image, H x W; of colours 65536 red + 256 green + blue.

    Raises:
        Unreadable: there is none, or it cannot be used.
    """
    path, mask = image.path, image.mask
    if mask is None:
        raise Unreadable(path, "has no mask", "no_mask")
    if image.sharing is not None:
        told = f"{mask} may be its mask or that of {image.sharing}, because their names differ only in the suffix"
        raise Unreadable(path, told, "no_mask")
    try:
        encoded = (root / mask).read_bytes()
        return _colours(encoded) if colours else read_index_png(encoded).astype(np.uint32)
    except OSError as error:
        raise Unreadable(path, f"{mask}: cannot be opened: {error.strerror}", "no_mask") from None
    except LossyMask as error:
        raise Unreadable(path, f"{mask}: {error}", "smoothed") from None
    except ValueError as error:
        raise Unreadable(path, f"{mask}: {error}", "no_mask") from None


def _colours(encoded: bytes) -> NDArray[np.uint32]:
    """Return the colours of the pixels, those of the palette for an image that has one.

    Raises:
        ValueError: the bytes are not an image, or were compressed with loss.
    """
    try:
        with Image.open(BytesIO(encoded)) as image:
            LossyMask.refuse(image)
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), np.uint32), -1, 0)
    except LossyMask:
        raise
    except Exception as error:  # damaged files raise nearly anything
        raise ValueError(f"cannot be read ({first_line(error)})") from None
    packed: NDArray[np.uint32] = (red << 16) | (green << 8) | blue
    return packed


def smoothed(values: NDArray[np.uint32]) -> str | None:
    """Return the reason why values are not those that were drawn, None if they may be.

    Smooth resizing puts values between those of two areas along their border. A number of an object is between its
    neighbours' only where the object is a pixel wide there; so values of which most pixels do are none of an object.

    Args:
        values: H x W.
    """
    between = np.zeros(values.shape, bool)
    for axis in (0, 1):
        lines = np.moveaxis(values, axis, 0)
        before, own, after = lines[:-2], lines[1:-1], lines[2:]
        np.moveaxis(between, axis, 0)[1:-1] |= ((before < own) & (own < after)) | ((before > own) & (own > after))
    present, counts = np.unique(values, return_counts=True)
    ringed = np.isin(present, values[between]) & (present > 0)
    inside = dict(zip(*np.unique(values[between], return_counts=True), strict=True))
    odd = sum(2 * inside[value] >= count for value, count in zip(present[ringed], counts[ringed], strict=True))
    if odd < _FEWEST or odd <= _RINGED * len(present):
        return None
    return (
        f"{odd} of its {len(present)} values are between those of their neighbours, as if the mask "
        f"was resized with interpolation"
    )
