"""Panels of texts: the strip, and below it what was read, each character under the columns that said it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sightline.data.images import decode
from sightline.data.overlay import scaled
from sightline.data.structures import FLOAT32, UINT8, Prediction, Sample
from sightline.evaluation.report.panels import SIDE, Panel
from sightline.tasks.metrics.text import aligned

_BAND = 34  # pixels below the strip
_BAR = 5  # of them for the columns
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)  # blue and vermilion (Okabe and Ito 2008)
_PAPER = (255, 255, 255)
_LEAST = 4  # pixels of a bar


def reading_panels(sample: Sample, prediction: Prediction) -> list[Panel]:
    """Return the strip with its reading below, in blue where a character is right and in orange where it is not."""
    assert prediction.text is not None
    strip, scale = scaled(decode(sample.image, 3), SIDE)
    spans = prediction.text_spans if prediction.text_spans is not None else np.zeros((0, 2), np.float32)
    return [
        Panel("", _with_band(strip, prediction.text, right_characters(sample.text, prediction.text), spans * scale))
    ]


def right_characters(true: str, read: str) -> list[bool]:
    """Return for each character that was read whether it has its equal in an alignment with the true text."""
    return [own == other for own, other in aligned(true, read) if other]


def _with_band(strip: UINT8, text: str, right: list[bool], spans: FLOAT32) -> UINT8:
    height, width = strip.shape[:2]
    picture = Image.new("RGB", (width, height + _BAND), _PAPER)
    picture.paste(Image.fromarray(np.ascontiguousarray(strip)), (0, 0))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(22)
    for character, good, (left, end) in zip(text, right, spans.tolist(), strict=False):
        colour, middle = _RIGHT if good else _WRONG, (left + end) / 2
        half = max(_LEAST, end - left) / 2
        draw.rectangle((middle - half, height + 1, middle + half, height + _BAR), fill=colour)
        draw.text((middle, height + (_BAND + _BAR) / 2), character, colour, font, anchor="mm")
    return np.asarray(picture)
