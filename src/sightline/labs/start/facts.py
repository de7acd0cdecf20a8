"""What is known of a prepared data set, as far as it decides how to begin."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.store import SplitStore, load_labels
from sightline.system.files import read_json

_TURNED = re.compile(r"(^|[^a-z])(left|right|clockwise|east|west)([^a-z]|$)", re.IGNORECASE)
_SYMBOL = re.compile(r"\w|\d+|(digit|letter|char(acter)?)[ _-]?\w+", re.IGNORECASE)
_FEW = 10  # objects of a class below which its median says little
_MOST_BOXES = 20_000  # images whose boxes are measured


@dataclass(frozen=True)
class Objects:
    """The boxes of the train split.

    Attributes:
        per_image: mean number.
        small: side of small objects, the square root of the area as a share of the longer side of the image: the 10th
            percentile of all objects, or the median of the class with the smallest ones, if that is less.
        median: of all objects, in the same unit.
    """

    per_image: float
    small: float
    median: float


@dataclass(frozen=True)
class Facts:
    """A data set in numbers.

    Attributes:
        task: kind of task that it is for.
        classes: their names.
        counts: images (objects, pixels) of each class in train.
        samples: images by split.
        height, width: median, pixels.
        grey: whether no image has colours.
        objects: of data sets with boxes.
        mirrored: whether key points have partners in a mirror image.
        values: names of regression targets.
        left_out: images that cannot be used, by the reason.
        oriented: whether boxes are oriented.
        longest_text: characters of the longest text of train.
        findings: what the checks found, by code, as the card of the data set has it.
    """

    task: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    samples: dict[str, int]
    height: int
    width: int
    grey: bool
    objects: Objects | None
    mirrored: bool
    values: tuple[str, ...]
    left_out: dict[str, int]
    oriented: bool = False
    longest_text: int = 0
    findings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def side(self) -> int:
        """Median of the longer side, pixels."""
        return max(self.height, self.width)

    @property
    def imbalance(self) -> float:
        """How many times as frequent as the rarest class the most frequent one is; 1 without classes."""
        present = [count for count in self.counts.values() if count]
        return max(present) / min(present) if present else 1.0

    def unsafe_mirror(self) -> str | None:
        """Return why a mirrored image may be wrong, None if nothing hints at it."""
        if self.task == "text_recognition":
            return "a mirrored text is no text"
        if self.task == "anomaly":
            return "good images are learned as they are"
        if self.mirrored:
            return None
        turned = next((name for name in self.classes if _TURNED.search(name)), None)
        if turned is not None:
            return f"{turned!r} would become its opposite"
        if self.classes and all(_SYMBOL.fullmatch(name) for name in self.classes):
            return "the classes look like digits or letters"
        return None


def gather(task: str, prepared: Path) -> Facts:
    """Return the facts of a prepared data set; boxes of the train split alone.

    Args:
        task: kind of task.
        prepared: folder of the data set.
    """
    card, labels = read_json(prepared / "card.json"), load_labels(prepared)
    train = SplitStore(prepared / "train")
    boxed = train if card["objects"] else None
    counted: Mapping[str, Mapping[str, int]] = card["objects"] or card["pixels"] or card["counts"]
    return Facts(
        task,
        labels.classes,
        dict(counted.get("train", {})),
        dict(card["samples"]),
        card["sizes"]["height"]["median"],
        card["sizes"]["width"]["median"],
        "3" not in {channels for channels, count in card["channels"].items() if count},
        None if boxed is None else _objects(boxed),
        bool(labels.mirrored),
        labels.values,
        {code: one["count"] for code, one in card["findings"].items() if one["left_out"] == "sample"},
        boxed is not None and any(boxed.column("corners")),
        max(map(len, train.column("text")), default=0) if task == "text_recognition" else 0,
        card["findings"],
    )


def _objects(store: SplitStore) -> Objects | None:
    boxes: Sequence[list[float] | None] = store.column("boxes")[:_MOST_BOXES]
    labels: Sequence[list[int] | None] = store.column("box_labels")[:_MOST_BOXES]
    longer = np.maximum(store.column("height")[:_MOST_BOXES], store.column("width")[:_MOST_BOXES])
    sides: dict[int, list[float]] = defaultdict(list)
    for own, classes, side in zip(boxes, labels, longer, strict=True):
        corners = np.array(own or [], np.float64).reshape(-1, 4)
        shares = np.sqrt(np.prod(np.maximum(0, corners[:, 2:] - corners[:, :2]), axis=1)) / side
        for label, share in zip(classes or [], shares.tolist(), strict=True):
            sides[label].append(share)
    if not sides:
        return None
    every = [share for own in sides.values() for share in own]
    known = [own for own in sides.values() if len(own) >= _FEW] or [every]
    small = min(float(np.quantile(every, 0.1)), *(float(np.median(own)) for own in known))
    return Objects(len(every) / max(1, len(boxes)), small, float(np.median(every)))
