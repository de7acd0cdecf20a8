"""Reads pictures as tensors, and writes them and animations of them, the same bytes for the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline.data.images import decode
from sightline.data.structures import UINT8
from sightline.system.errors import UserError
from sightline.system.files import new_file

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_FRAME_MS = 120
_LAST_MS = 1500


def read_picture(path: Path, size: int, channels: int = 3) -> Tensor:
    """Read a picture and bring its longer side to `size` pixels, keeping its shape.

    Returns:
        1 x C x H x W float32 in 0..1.

    Raises:
        UserError: it is missing or no picture.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such picture; name a file, e.g. of {', '.join(ENDINGS[:3])}")
    try:
        pixels = decode(path.read_bytes(), channels)
    except ValueError as error:
        raise UserError(f"{path}: not a readable picture ({error}); save it as JPEG or PNG") from None
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    if scale != 1:
        shape = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    values = pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1)[None]
    return torch.from_numpy(np.ascontiguousarray(values)).float() / 255


def find_pictures(place: Path) -> list[Path]:
    """Return the picture at `place`, or those in the folder there, by name.

    Raises:
        UserError: nothing there, or a folder without pictures.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"{place}: no such picture or folder; put the style's pictures there")
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS)
    if not found:
        raise UserError(f"{place}: contains no pictures ({', '.join(ENDINGS)}); put some there")
    return found


def to_pixels(picture: Tensor) -> UINT8:
    """1 x C x H x W in 0..1, else clipped -> H x W x 3, or H x W if grey, uint8."""
    values = (picture[0].detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))


def write_picture(pixels: UINT8, path: Path) -> None:
    """Write pixels as PNG."""
    with new_file(path) as work:
        Image.fromarray(pixels).save(work, optimize=True)


def write_animation(frames: Sequence[UINT8], path: Path, kind: Literal["gif", "webp"]) -> None:
    """Write frames as one animated picture that runs for ever and rests on the last frame."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    times = [_FRAME_MS] * len(others) + [_LAST_MS]
    options = {"quality": 80, "method": 4} if kind == "webp" else {}
    with new_file(path) as work:
        first.save(work, format=kind.upper(), save_all=True, append_images=others, duration=times, loop=0, **options)
