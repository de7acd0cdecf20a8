"""What more training data is worth: the learning curve of a head in, as `fit_head` has written it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.operations.advice.candidates import Candidate, curve_file
from sightline.system.errors import UserError
from sightline.system.files import read_json

_CLEARLY = 1.0  # points that the class which gains most is ahead of all images


@dataclass(frozen=True)
class ClassWorth:
    """What twice the data, of all classes, is worth for one: its recall out of fold in percent, gains in points."""

    name: str
    train_images: int
    recall: float
    points: float
    low: float
    high: float


@dataclass(frozen=True)
class MoreData:
    """What twice the training data is worth.

    Attributes:
        head: whose learning curve it is.
        train_images: in the train split today.
        accuracy: expected today on images left out, percent.
        points: gain in accuracy of twice the data, percentage points.
        low: end of its interval.
        high: end of its interval.
        confidence: of the interval.
        classes: each class, the largest gain first.
        curve: images learned from, error and its deviation, percent, at each size measured.
        most_learned: images, more than which no part of the curve has learned from.
    """

    head: str
    train_images: int
    accuracy: float
    points: float
    low: float
    high: float
    confidence: float
    classes: tuple[ClassWorth, ...]
    curve: tuple[tuple[int, float, float], ...]
    most_learned: int

    @property
    def most(self) -> ClassWorth:
        """The class that gains most."""
        return self.classes[0]

    @property
    def leading(self) -> ClassWorth | None:
        """The class that gains most, where it is clearly ahead of all images: the one that words may name."""
        return self.most if self.most.points > self.points + _CLEARLY else None


def more_data(root: Path, name: str | None, every: Sequence[Candidate]) -> MoreData | None:
    """Return what twice the data is worth, None where no head has a learning curve.

    Args:
        root: of the project.
        name: of the head whose curve to take; None, or another model: the head over fixed features that errs least.
        every: models and heads of the data set.

    Raises:
        UserError: a damaged file.
    """
    own = next((one for one in every if one.name == name and one.role == "head"), None)
    heads = [own] if own else [one for one in every if one.role == "head"]
    curves = [curve for one in heads if (curve := read_curve(root, one.name)) is not None]
    return max(curves, key=lambda one: one.accuracy) if curves else None


def read_curve(root: Path, head: str) -> MoreData | None:
    """Return what the learning curve of a head says, None without one, or where images were too few for it.

    Raises:
        UserError: a damaged file.
    """
    path = curve_file(root, head)
    if not path.is_file():
        return None
    try:
        values = read_json(path)
        return None if "reason" in values else _read(head, values)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: damaged or changed by hand ({error}); run dvc repro --force fit_head@{head}"
        ) from None


def _read(head: str, values: dict[str, Any]) -> MoreData:
    return MoreData(
        head,
        int(values["train_images"]),
        100 * values["accuracy"],
        *_points(values["twice_the_data"]),
        values["confidence"],
        tuple(
            ClassWorth(one["class"], one["train_images"], 100 * one["recall"], *_points(one["twice_the_data"]))
            for one in values["classes"]
        ),
        tuple((one["images"], 100 * one["error"], 100 * one["deviation"]) for one in values["curve"]),
        int(values["most_learned"]),
    )


def _points(gain: dict[str, float]) -> tuple[float, float, float]:
    return 100 * float(gain["gain"]), 100 * float(gain["low"]), 100 * float(gain["high"])
