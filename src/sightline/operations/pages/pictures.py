"""Photographs within a page: a PNG file in, a smaller data URI out."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

WIDEST = 1400  # pixels
_QUALITY = 82  # of WebP, which needs a tenth of a PNG's bytes for photographs with words


@dataclass(frozen=True)
class Picture:
    """A picture on a page: its address, which holds all of it, and its size in pixels."""

    uri: str
    width: int
    height: int
    alt: str


def picture(path: Path, alt: str, widest: int = WIDEST) -> Picture:
    """Return a picture that is at most `widest` pixels wide, the same bytes for the same file."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    sheet = Image.new("RGBA", image.size, "white")
    sheet.alpha_composite(image)
    flat = sheet.convert("RGB")
    if flat.width > widest:
        flat = flat.resize((widest, round(flat.height * widest / flat.width)), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    flat.save(written, "WEBP", quality=_QUALITY, method=4)
    return Picture(
        f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}", flat.width, flat.height, alt
    )
