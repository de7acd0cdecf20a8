"""Advice in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.operations.advice.advising import Advice
from sightline.operations.advice.evaluations import POINT, HeadAgainstNetwork, SmallestDifference
from sightline.operations.advice.more_data import MoreData

_LITTLE = 0.5  # points


def sentences(advice: Advice) -> list[str]:
    """Return what the advice says, a sentence or two for each part that is known."""
    parts: list[Iterator[str]] = []
    if advice.doubling is not None:
        parts.append(_more_data(advice.doubling))
    if advice.head_against_network is not None:
        parts.append(_head_or_network(advice.head_against_network))
    if advice.smallest_difference is not None:
        parts.append(_test_split(advice.smallest_difference))
    return [" ".join(part) for part in parts]


def points(value: float) -> str:
    """Return a gain in percentage points, such as +1.8."""
    return f"{0.0 if abs(value) < 0.05 else value:+.1f}"


def _more_data(found: MoreData) -> Iterator[str]:
    worth = f"{points(found.points)} points of accuracy [{points(found.low)}, {points(found.high)}]"
    twice = f"Twice the training data ({2 * found.train_images:,} images instead of {found.train_images:,})"
    if found.high < _LITTLE:
        yield f"{twice} is worth little: {worth}."
    else:
        yield f"{twice} is worth about {worth}."
    if (most := found.leading) is not None:
        yield f"Class {most.name} gains most: about {points(most.points)}."
    yield f"This is the learning curve of {found.head}, measured on train images left out."
    if found.train_images > found.most_learned:
        yield f"It was measured with at most {found.most_learned:,} images, so it reaches far."


def _head_or_network(found: HeadAgainstNetwork) -> Iterator[str]:
    both = f"{found.head} {found.head_value:.3f} and {found.network} {found.network_value:.3f}"
    gain, low, high = found.gain, found.low, found.high
    if found.better == "head":
        gain, low, high = -gain, -high, -low
    told, images = f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]", f"{found.images:,} test images"
    if not found.better:
        yield f"{both}: no difference that {images} can show ({told})."
        yield "The head over fixed features does as well as the trained network, as far as can be seen."
    elif found.better == "network":
        yield f"{both}: the trained network is better than the head over fixed features, {told} on {images}."
    else:
        yield f"{both}: the head over fixed features is better than the trained network, {told} on {images}."


def _test_split(found: SmallestDifference) -> Iterator[str]:
    share = found.needed is not None
    least = f"{100 * found.difference:.1f} points" if share else f"{found.difference:.3g}"
    yield f"The {found.images:,} test images show a difference in {found.metric} of {least} in four of five cases;"
    if found.needed is not None:
        if found.difference <= POINT:
            yield "that is enough to distinguish models that differ by one point."
        else:
            yield f"for one point they would have to be about {_rounded(found.needed):,}."
    else:
        yield "four times as many would show half of it."
    if found.pair:
        yield f"Measured by how {' and '.join(found.pair)} differ."
    else:
        yield "Assumed: two models have half of their errors in common."


def _rounded(count: int) -> int:
    """Return a number of images with two figures."""
    unit = int(10 ** max(0, len(str(count)) - 2))
    return -(-count // unit) * unit
