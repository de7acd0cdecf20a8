"""Pictures of a search: scores over what a network costs, and the curves of its trainings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline.evaluation.report.figures import BLUE, FAINT, GREY, ORANGE, SMALL, new_figure
from sightline.labs.choose.journal import Record
from sightline.labs.choose.outcome import Outcome
from sightline.labs.choose.pruning import RUNGS
from sightline.labs.choose.search import sign_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SCALES = {"latency_ms": (1.0, "ms for an image, one thread"), "size_bytes": (1e-6, "MB of the ONNX file")}
_NAMED = 12  # trials whose number stands beside their point


def draw_costs(outcome: Outcome, cost: str) -> Figure | None:
    """Draw the scores of finished trials over a cost, with the line of those that no other one beats in both.

    Args:
        outcome: of the search.
        cost: `latency_ms` or `size_bytes`.
    """
    known = [record for record in outcome.finished if record.found.get(cost) is not None]
    if not known:
        return None
    scale, words = _SCALES[cost]
    figure, [axis] = new_figure(1, 1, 6.4, 3.8)
    costs = [scale * float(record.found[cost]) for record in known]
    scores = [float(record.score or 0.0) for record in known]
    _draw_line(axis, costs, scores, outcome.smaller)
    axis.scatter(costs, scores, s=26, color=BLUE, zorder=3)
    for record, x, y in list(zip(known, costs, scores, strict=True))[:_NAMED]:
        axis.annotate(str(record.number), (x, y), (4, 4), textcoords="offset points", fontsize=SMALL, color=FAINT)
    winner = outcome.winner
    if winner is not None and winner.found.get(cost) is not None:
        point = scale * float(winner.found[cost]), float(winner.score or 0.0)
        axis.scatter(*point, s=110, facecolors="none", edgecolors=ORANGE, linewidths=1.8, zorder=4)
        axis.annotate("chosen", point, (9, -11), textcoords="offset points", fontsize=SMALL, color=ORANGE)
    limit = getattr(outcome.limits, cost)
    if limit is not None:
        axis.axvline(scale * limit, color=GREY, linestyle="--", linewidth=1)
    axis.margins(0.12)
    axis.set(xlabel=words, ylabel=outcome.metric)
    return figure


def _draw_line(axis: Axes, costs: Sequence[float], scores: Sequence[float], smaller: bool) -> None:
    """Draw steps through the points that are better than all cheaper ones."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(zip(costs, scores, strict=True), key=lambda one: (one[0], one[1] if smaller else -one[1])):
        if not best or (y < best[-1][1] if smaller else y > best[-1][1]):
            best.append((x, y))
    if len(best) > 1:
        axis.step(*zip(*best, strict=True), where="post", color=GREY, linewidth=1.2)


def draw_curves(records: Sequence[Record], winner: Record | None) -> Figure | None:
    """Draw the curve of each training over the share of its epochs; those that were stopped end early."""
    known = [record for record in records if record.found.get("curve") and record.found.get("epochs")]
    if not known:
        return None
    figure, [axis] = new_figure(1, 1, 6.4, 3.8)
    for record in known:
        curve, epochs = _curve(record), int(record.found["epochs"])
        shares = [(place + 1) / epochs for place in range(len(curve))]
        is_winner = winner is not None and record.number == winner.number
        stopped = record.state == "stopped"
        colour = ORANGE if is_winner else GREY if stopped else BLUE
        axis.plot(shares, curve, color=colour, linewidth=2 if is_winner else 1, alpha=1 if is_winner else 0.7)
        if stopped:
            axis.plot(shares[-1:], curve[-1:], marker="x", color=colour, markersize=5)
    for rung in RUNGS:
        axis.axvline(rung, color=GREY, linestyle=":", linewidth=1)
    axis.set(
        xlabel="share of the epochs",
        ylabel=f"{known[0].found.get('curve_of', 'score')} on the images that choose",
        xlim=(0, 1.02),
    )
    ends = sorted(value for record in known for value in _curve(record))
    few = len(ends) // 5  # first epochs would flatten the rest
    low, high = (
        (ends[0], ends[-1 - few]) if sign_of(str(known[0].found.get("curve_of", ""))) < 0 else (ends[few], ends[-1])
    )
    room = 0.1 * (high - low) + 1e-9
    axis.set_ylim(low - room, high + room)
    return figure


def _curve(record: Record) -> list[float]:
    """Return the scores of a training as the metric says them."""
    sign = sign_of(str(record.found.get("curve_of", "")))
    return [sign * float(value) for value in record.found["curve"]]
