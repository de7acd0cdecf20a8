"""What to do next with a model: candidates from its files, ranked; a gain is told only where it was estimated.

A model that is no better than a constant answer has to learn first. Then come copies of test images among those that it
learned from, as its score cannot be trusted before, and then steps with an estimated gain, the largest first. The
others follow in the order of `_ORDER`: what may be wrong with the data, then what the model is worse on, then how well
the score itself is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sightline.config.metrics import smaller_is_better
from sightline.data.raw.findings import KINDS, near_copies
from sightline.operations.advice import ClassWorth, MoreData
from sightline.operations.advice.more_data import more_data
from sightline.operations.advice.words import points
from sightline.operations.pages.sources import Sources
from sightline.operations.pages.weak_spots import WeakSpots
from sightline.operations.pages.words import metric_title, number

_ORDER = ("quarantine", "threshold", "balance", "labels", "input", "slice", "test images")
_MUCH = 0.05  # of the images in quarantine
_WIDE = 0.05  # interval of a score between 0 and 1
_RARE = 0.5  # of the median class
_SMALLER = 0.1  # mAP of small objects below that of the largest size


@dataclass(frozen=True)
class Step:
    """Something to do.

    Attributes:
        rule: why it is there.
        words: what to do and why.
        gain: of accuracy, if it was estimated.
    """

    rule: str
    words: str
    gain: float | None = None


def next_steps(sources: Sources, metrics: Mapping[str, Any], weak: WeakSpots, good: bool = True) -> list[Step]:
    """Return what to do next, in the order in which to do it.

    Args:
        sources: of an evaluated model.
        metrics: of its evaluation.
        weak: what it is worse on.
        good: whether it is better than a constant answer; if not, it has to learn first.
    """
    card = sources.optional(f"data/prepared/{sources.dataset}/card.json") or {}
    settings = sources.optional(f"reports/{sources.name}/training/training.json") or {}
    steps = [
        *_learning(sources, settings, good),
        *_more_images(sources, metrics),
        *_copies(sources, card),
        *_quarantine(sources, card),
        *(_of_defects(weak, settings) if metrics.get("task") == "anomaly" else _weak_class(weak, card, settings)),
        *_small_objects(metrics, card, settings),
        *_weak_slice(weak),
        *_test_images(metrics),
    ]
    first = ("learn", "copies")
    return sorted(
        steps,
        key=lambda step: (
            first.index(step.rule) if step.rule in first else len(first),
            step.gain is None,
            -(step.gain or 0.0),
            _place(step.rule),
        ),
    )


def _place(rule: str) -> int:
    return _ORDER.index(rule) if rule in _ORDER else -1


def _learning(sources: Sources, settings: Mapping[str, Any], good: bool) -> Iterator[Step]:
    if not good and "input.size" in settings:
        yield Step(
            "learn",
            f"Let it learn first: its page shows the curves of its training; `sightline tune {sources.name}` looks for "
            "a learning rate, trainer.max_epochs gives it more time.",
        )
    elif not good:
        yield Step("learn", "Let it learn first, with other settings or features; its page shows what was tried.")


def _more_images(sources: Sources, metrics: Mapping[str, Any]) -> Iterator[Step]:
    """Yield what twice the training images should gain by a head's learning curve, if its interval is above nothing.

    Curve and class are those that `sightline advise` names; only heads that classify have a curve.
    """
    if metrics.get("task") != "classification":
        return
    found = more_data(sources.root, sources.name, sources.peers)
    if found is None or found.low <= 0:
        return
    most = found.leading
    recall = f", recall most for “{most.name}” by {_points(most)}" if most else ""
    perfect = metrics["headline"]["name"] == "accuracy" and metrics["headline"]["value"] == 1
    unseen = f" {sources.name} makes no error on its test images, so they cannot show a gain." if perfect else ""
    yield Step(
        "more images",
        f"Double the training images of every class: by the learning curve of the head {found.head}, the head's "
        f"accuracy should gain {_points(found)}{recall}.{unseen}",
        found.points / 100,
    )


def _points(gain: MoreData | ClassWorth) -> str:
    return f"{points(gain.points)} points ({points(gain.low)} to {points(gain.high)})"


def _copies(sources: Sources, card: Mapping[str, Any]) -> Iterator[Step]:
    """Yield images that are nearly the same in two splits: a model that knows one by heart is right on the other."""
    if near_copies(card):
        count = card["findings"]["near_duplicate"]["count"]
        remedy = KINDS["near_duplicate"].remedy_for(card.get("format", ""))
        yield Step(
            "copies",
            f"Look at the {count:,} images of val or test that are nearly the same as one that is learned from: the "
            f"score may be too good. data/prepared/{sources.dataset}/report.md names them; {remedy}.",
        )


def _quarantine(sources: Sources, card: Mapping[str, Any]) -> Iterator[Step]:
    count, used = card.get("quarantined", 0), sum(card.get("samples", {}).values())
    if count and count >= _MUCH * (count + used):
        yield Step(
            "quarantine",
            f"Look at the {count:,} of {count + used:,} images that were left out: "
            f"data/prepared/{sources.dataset}/report.md says why.",
        )


def _weak_class(weak: WeakSpots, card: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Step]:
    if not weak.classes:
        return
    name, counts = weak.classes[0], card.get("counts", {}).get("train", {})
    seen = sorted(count for count in counts.values() if count)
    middle = seen[len(seen) // 2] if seen else 0
    rare = name in counts and counts[name] < _RARE * middle
    if rare and settings.get("trainer.sampling") == "shuffled":
        yield Step(
            "balance",
            f"Train with trainer.sampling: balanced: “{name}” is rare ({counts[name]:,} training images, "
            f"the median class has {middle:,}). Its gain is not known before.",
        )
    known = f"; it has {counts[name]:,} training images" if name in counts else ""
    yield Step("labels", f"Check the labels of “{name}” and add images of it{known}. What that gains is not estimated.")


def _of_defects(weak: WeakSpots, settings: Mapping[str, Any]) -> Iterator[Step]:
    """Yield what helps a head that learns from good images alone: images of defects would teach it nothing."""
    asked, expected = settings.get("false_alarms"), settings.get("threshold.expected_false_alarms")
    if asked is not None and expected is not None and expected > asked:
        yield Step(
            "threshold",
            f"Add good validation images: from {settings.get('threshold.images')} of them the threshold can only "
            f"promise {expected:.1%} false alarms, not {asked:.1%}.",
        )
    if weak.classes:
        yield Step(
            "labels",
            f"Look at the heat maps of “{weak.classes[0]}”: more places, other layers or a larger input may show them. "
            "What that gains is not estimated.",
        )


def _small_objects(metrics: Mapping[str, Any], card: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Step]:
    """Yield a larger input where small objects are found less often and images are larger than the input."""
    size, sizes = settings.get("input.size"), card.get("sizes", {})
    side = max((sizes.get(name, {}).get("median", 0) for name in ("width", "height")), default=0)
    for prefix in ("", "mask_"):
        values = {name: metrics.get(f"{prefix}mAP_{name}") for name in ("small", "medium", "large")}
        known = [value for name, value in values.items() if value is not None and name != "small"]
        small = values["small"]
        if small is None or not known or not isinstance(size, int) or size >= side:
            continue
        if small <= max(known) - _SMALLER:
            yield Step(
                "input",
                f"Try an input.size above {size} (the images have {side:g} pixels): small objects are found less "
                f"well, mAP {number(small)} against {number(max(known))}. Its gain is not known before.",
            )
            return


def _weak_slice(weak: WeakSpots) -> Iterator[Step]:
    if weak.slices:
        column, value = weak.slices[0]
        yield Step("slice", f"Add training images with {column}: {value}. What that gains is not estimated.")


def _test_images(metrics: Mapping[str, Any]) -> Iterator[Step]:
    """Yield how many test images would make the interval narrow; its width falls with their square root."""
    own = metrics["headline"]
    low, high = own.get("low"), own.get("high")
    if low is None or high is None or smaller_is_better(own["name"]) or not 0 <= low <= high <= 1:
        return
    wide, aim, count = round(100 * (high - low), 1), 100 * _WIDE, metrics["samples"]
    if wide > aim:
        needed = math.ceil(count * (wide / aim) ** 2)
        rounded = math.ceil(needed / 10 ** max(0, len(str(needed)) - 2)) * 10 ** max(0, len(str(needed)) - 2)
        digits = 0 if f"{wide:.0f}" != f"{aim:.0f}" else 1  # "5 would become 5" says nothing
        yield Step(
            "test images",
            f"Add test images: {metric_title(own['name'])} is known to within {wide:.{digits}f} points with "
            f"{count:,}; about {rounded:,} would narrow that to {aim:.{digits}f}.",
        )
