"""Latency against score: a benchmark in, a picture with the points that no other one beats out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.config.metrics import smaller_is_better
from sightline.evaluation.report.figures import GREY, SERIES, SMALL, new_figure, save_figure

_MARKS = {"torch": "o", "onnx": "s", "int8": "^"}
_FEW, _MANY = (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)  # numbers that are written out, of each decade
Point = tuple[float, float]  # milliseconds for one image, score


def draw_pareto(told: dict[str, Any], others: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the points of a model, and of others, with the line of those that are best for their time.

    Args:
        told: the values of `benchmark.json`.
        others: those of other models.
        path: the PNG to write.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, [axes] = new_figure(1, 1, 7, 4.5)
    every: list[Point] = []
    for number, one in enumerate([told, *others]):
        colour = SERIES[number % len(SERIES)]
        for engine, mark in _MARKS.items():
            points = _points(one, engine)
            every += points
            if points:
                times, scores = zip(*points, strict=True)
                axes.scatter(times, scores, marker=mark, color=colour, label=f"{one['model']}, {engine}", zorder=3)
    best = front(every, smaller_is_better(told["metric"]))
    axes.plot(*zip(*best, strict=True), color=GREY, linewidth=1, drawstyle="steps-post", zorder=1)
    axes.set_xscale("log")
    every_time = [time for time, _ in every]
    axes.xaxis.set_major_locator(LogLocator(subs=_MANY if max(every_time) < 10 * min(every_time) else _FEW))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("milliseconds for one image, one point for each number of threads")
    axes.set_ylabel(f"{told['metric']}, {told['split']} split")
    figure.legend(loc="outside right upper", fontsize=SMALL)
    save_figure(figure, path)


def _points(told: dict[str, Any], engine: str) -> list[Point]:
    score = told["scores"].get(engine)
    least = min(row["batch"] for row in told["rows"])
    rows = [row for row in told["rows"] if row["engine"] == engine and row["batch"] == least]
    return [] if score is None else [(row["latency_ms"] / least, score) for row in rows]


def front(points: Sequence[Point], smaller: bool) -> list[Point]:
    """Return the points that no other one beats in both time and score, by time.

    Args:
        points: time and score.
        smaller: whether small scores are good.
    """
    kept: list[Point] = []
    for time, score in sorted(points, key=lambda one: (one[0], one[1] if smaller else -one[1])):
        if not kept or (score < kept[-1][1] if smaller else score > kept[-1][1]):
            kept.append((time, score))
    return kept
