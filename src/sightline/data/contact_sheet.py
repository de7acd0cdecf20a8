"""A picture of some training images, in rows by class, with what is drawn on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sightline.data.images import decode
from sightline.data.overlay import draw_truth
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap, Sample

_CELL = 96  # pixels, both sides
_LARGE = 192  # of images on which something is drawn, where there are few classes
_GAP = 6
_NAME = 150  # pixels for the class name, at most
_PER_CLASS = 8
_ROWS = 13  # classes below one another before a new column begins
_CLASSES = 39  # classes shown at most
_FEW = 6  # classes with large images
_STRIPS, _IN_A_ROW, _STRIP = 32, 4, (216, 56)  # images with a text: how many; width and height in pixels
_INK, _PAPER, _LINE = (30, 30, 30), (255, 255, 255), (215, 215, 215)


def draw_contact_sheet(store: SplitStore, labels: LabelMap) -> Image.Image:
    """Return images of each class in rows next to the class's name, or all together where there are no two classes."""
    rows = _members(store, labels)
    first = store.sample(0)
    drawn = first.boxes is not None or first.semantic is not None
    if labels.characters and not len(labels):
        return _strips(store)
    cell = _LARGE if drawn and len(labels) <= _FEW else _CELL
    if len(labels) < 2:
        return _grid(store, labels, cell)
    shown = min(len(labels), _CLASSES)
    columns = -(-shown // _ROWS)
    height = -(-shown // columns)
    per_class = max(3, _PER_CLASS // columns + 1) if columns > 1 else _PER_CLASS * _CELL // cell + (cell > _CELL)
    font = ImageFont.load_default(17)
    longest = max(font.getlength(name) for name in labels.classes[:shown])
    margin = min(_NAME, round(longest) + 4 * _GAP)
    block = margin + per_class * (cell + _GAP) + 2 * _GAP
    more = len(labels) - shown
    sheet = Image.new("RGB", (columns * block + _GAP, height * (cell + _GAP) + _GAP + (28 if more else 0)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for label in range(shown):
        left, top = _GAP + label // height * block, _GAP + label % height * (cell + _GAP)
        name = shortened(labels.classes[label], font, margin - 2 * _GAP)
        draw.text((left + _GAP, top + cell / 2), name, _INK, font, anchor="lm")
        draw.line((left, top + cell + _GAP // 2, left + block - 3 * _GAP, top + cell + _GAP // 2), _LINE)
        for place, index in enumerate(rows[label][:per_class]):
            sheet.paste(_picture(store, index, cell, labels), (left + margin + place * (cell + _GAP), top))
    if more:
        draw.text((2 * _GAP, sheet.height - 20), f"and {more} more classes", _INK, font, anchor="lm")
    return sheet


def draw_variants(rows: Sequence[Sequence[Sample]], labels: LabelMap) -> Image.Image:
    """Return samples in rows, each an original followed by variants of it, with what is drawn on them."""
    first = rows[0][0]
    cell = _LARGE if first.boxes is not None or first.semantic is not None else _CELL
    columns, top = max(map(len, rows)), 28
    sheet = Image.new("RGB", (columns * (cell + _GAP) + _GAP, top + len(rows) * (cell + _GAP)), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column in range(columns):
        named = f"variant {column}" if column else "original"
        draw.text((_GAP + column * (cell + _GAP) + cell / 2, top / 2), named, _INK, font, anchor="mm")
    for place, row in enumerate(rows):
        for column, sample in enumerate(row):
            picture = _drawn(sample, cell, labels)
            sheet.paste(picture, (_GAP + column * (cell + _GAP), top + place * (cell + _GAP)))
    return sheet


def _members(store: SplitStore, labels: LabelMap) -> list[list[int]]:
    """Return the samples of each class: those with its label, else those where it is on the image in some way."""
    if (store.labels >= 0).any():
        return [np.flatnonzero(store.labels == label).tolist() for label in range(len(labels))]
    members: list[list[int]] = [[] for _ in labels.classes]
    for index, several in enumerate(store.column("labels")):
        for label in several:
            members[label].append(index)
    if not any(members) and len(labels):
        for index in range(min(len(store), _PER_CLASS * len(labels))):  # masks must be decoded, so the first suffice
            semantic = store.sample(index).semantic
            for label in [] if semantic is None else np.unique(semantic[semantic < len(labels)]).tolist():
                members[label].append(index)
    return members


def _grid(store: SplitStore, labels: LabelMap, cell: int) -> Image.Image:
    """Return the first images side by side, with their values below, where there are some."""
    count = min(len(store), 3 * _PER_CLASS)
    columns = min(count, _PER_CLASS)
    line = 16 * len(labels.values)
    high = cell + _GAP + line
    sheet = Image.new("RGB", (columns * (cell + _GAP) + _GAP, -(-count // columns) * high + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place in range(count):
        left, top = _GAP + place % columns * (cell + _GAP), _GAP + place // columns * high
        sheet.paste(_picture(store, place, cell, labels), (left, top))
        for row, (name, value) in enumerate(zip(labels.values, store.sample(place).values, strict=True)):
            text = shortened(f"{name} {value:.3g}", font, cell)
            draw.text((left, top + cell + 2 + 16 * row), text, _INK, font)
    return sheet


def _strips(store: SplitStore) -> Image.Image:
    """Return the first strips, each above its text."""
    count = min(len(store), _STRIPS)
    wide, high = _STRIP
    step = high + 24
    sheet = Image.new("RGB", (_IN_A_ROW * (wide + _GAP) + _GAP, -(-count // _IN_A_ROW) * step + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place in range(count):
        sample = store.sample(place)
        left, top = _GAP + place % _IN_A_ROW * (wide + _GAP), _GAP + place // _IN_A_ROW * step
        image = Image.fromarray(decode(sample.image, 3))
        scale = min(wide / image.width, high / image.height)
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        sheet.paste(image, (left, top))
        draw.text((left, top + image.height + 2), shortened(sample.text, font, wide), _INK, font)
    return sheet


def _picture(store: SplitStore, index: int, cell: int, labels: LabelMap) -> Image.Image:
    return _drawn(store.sample(index), cell, labels)


def _drawn(sample: Sample, cell: int, labels: LabelMap) -> Image.Image:
    """Return an image, with what is drawn on it, in the middle of a white square."""
    pixels = draw_truth(sample, cell, labels.mirrored)
    height, width = pixels.shape[:2]
    square = Image.new("RGB", (cell, cell), _PAPER)
    square.paste(Image.fromarray(pixels), ((cell - width) // 2, (cell - height) // 2))
    return square


def shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return a text, or as much of its beginning as is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
