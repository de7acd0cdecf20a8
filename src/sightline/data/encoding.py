"""Pixels to bytes and back: PNG, index masks, and COCO's run lengths."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_masks

from sightline.data.image_formats import format_of, open_header
from sightline.data.orientation import orientation, upright
from sightline.data.structures import UINT8
from sightline.system.errors import first_line


def encode_png(image: UINT8) -> bytes:
    """Return H x W grey or H x W x 3 RGB uint8 as PNG, the same bytes for the same pixels."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return bytes(encoded.tobytes())


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an H x W mask as COCO's compressed run lengths `{"size": [h, w], "counts": str}`.

    Runs go down the columns and begin with background (pycocotools, `rleEncode` and `rleToString` in maskApi.c).
    """
    encoded = coco_masks.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def decode_rle(encoded: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the H x W mask that `encode_rle` took.

    Unlike pycocotools' decoder it warns of nothing under NumPy 2, and refuses run lengths that do not fill the mask.
    """
    runs = runs_of(encoded["counts"])
    inside = np.arange(len(runs)) % 2 == 1
    height, width = encoded["size"]
    return np.repeat(inside, runs).reshape(width, height).T


def runs_of(counts: str) -> list[int]:
    """Return the lengths of the runs that a compressed string stands for, background first.

    Each is written as the difference to the run two before it, in groups of 5 bits from the lowest, bit 6 set where
    more follow, plus 48 (`rleToString` in maskApi.c).
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        group = ord(character) - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & 0x20:
            if group & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


class LossyMask(ValueError):  # noqa: N818 - it is the mask that is lossy
    """A mask whose values a lossy compression has changed."""

    @classmethod
    def refuse(cls, image: Image.Image) -> None:
        """Raise where an image was compressed so."""
        if image.format in ("JPEG", "MPO"):
            raise cls("is a JPEG, whose compression changes pixel values")


def read_index_png(encoded: bytes) -> NDArray[np.uint16]:
    """Return the H x W values of an index mask: indices of palettes, never their colours, and unscaled grey levels.

    Raises:
        LossyMask: the image is a JPEG.
        ValueError: the bytes are not a supported image, or one in colours.
    """
    kind = format_of(encoded)
    try:
        with open_header(encoded) as image:
            LossyMask.refuse(image)
            if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                raise ValueError(f"holds colours ({image.mode}), expected numbers of classes or objects")
            # Pillow stretches grey levels of 2 and 4 bits to 0..255.
            stretched = {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args), 1)
            values = np.asarray(image).astype(np.uint16) // np.uint16(stretched)
            # A mask is rotated by the orientation of its file, like an image; Pillow turns a TIFF itself.
            return values if kind == "TIFF" else np.ascontiguousarray(upright(values, orientation(encoded, kind)))
    except (OSError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be read ({first_line(error)})") from None


def upright_size(encoded: bytes) -> tuple[int, int] | None:
    """Return height and width of the upright image, None if the bytes are not a supported image."""
    try:
        kind = format_of(encoded)
        with open_header(encoded) as image:
            # Pillow turns a TIFF itself, and reports the size of the upright one.
            swapped = kind != "TIFF" and orientation(encoded, kind) in (5, 6, 7, 8)
            return (image.width, image.height) if swapped else (image.height, image.width)
    except Exception:  # damaged headers raise nearly anything; the checks say what is wrong with them
        return None
