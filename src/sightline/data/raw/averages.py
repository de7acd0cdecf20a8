"""The mean image of each class in each split: what classes have in common, and whether the splits are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sightline.data.contact_sheet import shortened
from sightline.data.raw.small_pictures import SIDE, SmallPictures
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS, UINT8, LabelMap, SplitName

MOST_IMAGES = 100  # of a class in a split that are averaged: the first by their ids, which are hashes
MOST_CLASSES = 60
_GAP, _LINE, _BLOCKS = 6, 18, 4  # pixels between cells, pixels of a line of words, classes side by side
_INK, _PALE, _PAPER = (30, 30, 30), (120, 120, 120), (255, 255, 255)


def mean_image(store: SplitStore, indices: Sequence[int], pictures: SmallPictures) -> UINT8 | None:
    """Return the mean of small pictures, SIDE x SIDE x 3, of at most `MOST_IMAGES`; None without any.

    Whole numbers are added, so that the result does not depend on the order.
    """
    chosen = indices[:MOST_IMAGES]
    if not chosen:
        return None
    total = np.zeros((SIDE, SIDE, 3), np.int64)
    for index in chosen:
        total += pictures.of(store, index)
    rounded: UINT8 = ((2 * total + len(chosen)) // (2 * len(chosen))).astype(np.uint8)
    return rounded


def draw_averages(stores: Mapping[SplitName, SplitStore], labels: LabelMap, pictures: SmallPictures) -> Image.Image:
    """Return a picture with the mean image of each class and split; of all images where they have no single class."""
    classified = len(labels) > 1 and any((store.labels >= 0).any() for store in stores.values())
    shown = [*enumerate(labels.classes[:MOST_CLASSES])] if classified else [(-1, "all images")]
    columns = min(_BLOCKS, len(shown))
    wide, high = len(SPLITS) * (SIDE + _GAP) + 2 * _GAP, SIDE + 2 * _LINE + _GAP
    more = len(labels) - len(shown) if classified else 0
    size = (columns * wide + _GAP, -(-len(shown) // columns) * high + _GAP + (_LINE if more else 0))
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, (label, name) in enumerate(shown):
        left, top = _GAP + place % columns * wide, _GAP + place // columns * high
        draw.text((left, top), shortened(name, font, wide - 2 * _GAP), _INK, font)
        for column, split in enumerate(SPLITS):
            own = stores[split].labels
            members = np.flatnonzero(own == label).tolist() if classified else list(range(len(own)))
            corner = (left + column * (SIDE + _GAP), top + _LINE)
            average = mean_image(stores[split], members, pictures)
            if average is None:
                draw.rectangle((*corner, corner[0] + SIDE - 1, corner[1] + SIDE - 1), outline=_PALE)
            else:
                sheet.paste(Image.fromarray(average), corner)
            draw.text((corner[0], corner[1] + SIDE), f"{split} {len(members)}", _PALE, font)
    if more:
        draw.text((_GAP, size[1] - _LINE), f"and {more} more classes", _INK, font)
    return sheet
