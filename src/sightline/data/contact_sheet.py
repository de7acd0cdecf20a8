"""A picture of some training images of each class."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sightline.data.images import decode
from sightline.data.store import SplitStore
from sightline.structures import LabelMap

_CELL = 96  # pixels, both sides
_GAP = 6
_NAME = 150  # pixels for the class name, at most
_PER_CLASS = 8
_ROWS = 13  # classes below one another before a new column begins
_CLASSES = 39  # classes shown at most
_INK, _PAPER, _LINE = (30, 30, 30), (255, 255, 255), (215, 215, 215)
_BOX = (255, 64, 160)


def draw_contact_sheet(store: SplitStore, labels: LabelMap) -> Image.Image:
    """Return the first images of each class in rows beside the class's name, with boxes where there are some."""
    shown = min(len(labels), _CLASSES)
    columns = -(-shown // _ROWS)
    rows = -(-shown // columns)
    per_class = max(3, _PER_CLASS // columns + 1) if columns > 1 else _PER_CLASS
    font = ImageFont.load_default(17)
    longest = max(font.getlength(name) for name in labels.classes[:shown])
    margin = min(_NAME, round(longest) + 4 * _GAP)
    block = margin + per_class * (_CELL + _GAP) + 2 * _GAP
    more = len(labels) - shown
    height = rows * (_CELL + _GAP) + _GAP + (28 if more else 0)
    sheet = Image.new("RGB", (columns * block + _GAP, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for label in range(shown):
        left, top = _GAP + label // rows * block, _GAP + label % rows * (_CELL + _GAP)
        name = _shortened(labels.classes[label], font, margin - 2 * _GAP)
        draw.text((left + _GAP, top + _CELL / 2), name, _INK, font, anchor="lm")
        draw.line((left, top + _CELL + _GAP // 2, left + block - 3 * _GAP, top + _CELL + _GAP // 2), _LINE)
        for place, index in enumerate(np.flatnonzero(store.labels == label)[:per_class].tolist()):
            corner = (left + margin + place * (_CELL + _GAP), top)
            sheet.paste(_picture(store, index), corner)
    if more:
        draw.text((2 * _GAP, height - 20), f"and {more} more classes", _INK, font, anchor="lm")
    return sheet


def _picture(store: SplitStore, index: int) -> Image.Image:
    """Return an image, with its boxes, in the middle of a white square."""
    pixels = decode(store.image(index), 3)
    height, width = pixels.shape[:2]
    scale = _CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    enlarged = cv2.INTER_NEAREST if scale > 2 else cv2.INTER_LINEAR
    scaled = cv2.resize(pixels, size, interpolation=enlarged if scale > 1 else cv2.INTER_AREA)
    picture = Image.fromarray(scaled)
    boxes = store.sample(index).boxes
    if boxes is not None:
        draw = ImageDraw.Draw(picture)
        for left, top, right, bottom in (boxes * scale).round().astype(int).tolist():
            draw.rectangle((left, top, right - 1, bottom - 1), outline=_BOX)
    square = Image.new("RGB", (_CELL, _CELL), _PAPER)
    square.paste(picture, ((_CELL - size[0]) // 2, (_CELL - size[1]) // 2))
    return square


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
