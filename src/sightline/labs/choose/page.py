"""The page of a search: what the winner is worth, what it costs, and all that was tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.labs.choose.journal import Record
from sightline.labs.choose.outcome import Estimate, Outcome, front
from sightline.labs.choose.pictures import draw_costs, draw_curves
from sightline.labs.choose.ranking import breaks
from sightline.operations.pages.charts import Chart, chart, page_style
from sightline.operations.pages.rendering import render
from sightline.operations.pages.tables import Cell, Table, figure_cell, text_cell
from sightline.operations.pages.words import interval, number
from sightline.pipeline.durations import time_words

_COSTS = {"latency_ms": "time for an image", "size_bytes": "size of the file"}


def choose_page(outcome: Outcome) -> str:
    """Return the page."""
    records = outcome.records
    return render(
        "choose.html",
        title=f"Search for {outcome.model} · Sightline",
        model=outcome.model,
        metric=outcome.metric,
        confidence=f"{outcome.confidence:.0%}",
        finished=sum(record.state == "finished" for record in records),
        stopped=sum(record.state == "stopped" for record in records),
        winner=outcome.winner,
        reported=_words(outcome.reported),
        naive=_words(outcome.naive),
        difference=_difference(outcome),
        changes=[(name, _plain(value)) for name, value in outcome.changes.items()],
        charts=_charts(outcome),
        curves=_curves(outcome),
        trials=_trials(outcome),
        left_out=_left_out(outcome),
        facts=_facts(outcome),
    )


def _words(estimate: Estimate | None) -> Mapping[str, str] | None:
    if estimate is None:
        return None
    return {
        "value": number(estimate.value),
        "interval": interval(estimate.low, estimate.high),
        "samples": f"{estimate.samples:,}",
    }


def _difference(outcome: Outcome) -> str:
    if outcome.naive is None or outcome.reported is None:
        return ""
    gap = abs(outcome.naive.value - outcome.reported.value)
    inside = outcome.reported.low <= outcome.naive.value <= outcome.reported.high
    return (
        f" Here the two differ by {number(gap)}, {'within' if inside else 'beyond'} the interval of the other images."
    )


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(own)}" for name, own in value.items())
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _charts(outcome: Outcome) -> list[Chart]:
    found = []
    for cost, words in _COSTS.items():
        with page_style():
            figure = draw_costs(outcome, cost)
        if figure is not None:
            alt = f"{outcome.metric} of each finished trial over the {words}; the table of trials has the numbers"
            found.append(chart(cost.replace("_", "-"), f"{outcome.metric} and {words}", alt, figure))
    return found


def _curves(outcome: Outcome) -> Chart | None:
    with page_style():
        figure = draw_curves(outcome.records, outcome.winner)
    if figure is None:
        return None
    alt = "Score of each training on the images that choose, over the share of its epochs"
    return chart("curves", "Trainings", alt, figure)


def _trials(outcome: Outcome) -> Table:
    """Return all trials: the finished ones by their score, then the others."""
    order = [*outcome.finished, *(record for record in outcome.records if record.state != "finished")]
    columns = [("trial", True), ("recipe", False), ("network", False), ("px", True), ("learning rate", True)]
    columns += [(outcome.metric, True), ("ms", True), ("MB", True), ("time", True), ("", False)]
    best = {record.number for record in front(outcome.records, outcome.smaller)}
    rows = [_row(record, outcome, "Pareto front" if record.number in best else "") for record in order]
    return Table("Trials, the best one first", columns, rows)


def _row(record: Record, outcome: Outcome, standing: str) -> list[Cell]:
    own, found = record.candidate, record.found
    size = found.get("size_bytes")
    is_winner = outcome.winner is not None and record.number == outcome.winner.number
    broken = breaks(record, outcome.limits) if record.state == "finished" else None
    told = "chosen" if is_winner else broken or standing or _state_words(record)
    return [
        text_cell(str(record.number)),
        text_cell(own.recipe or "as written"),
        text_cell(own.network.rpartition(":")[2]),
        figure_cell(own.size),
        Cell(f"x {own.rate:g}", own.rate),
        figure_cell(record.score, tone="good" if is_winner else ""),
        figure_cell(found.get("latency_ms")),
        figure_cell(None if size is None else size / 1e6),
        Cell("" if record.seconds is None else time_words(record.seconds), record.seconds or -1.0),
        text_cell(told, tone="" if is_winner else "faint"),
    ]


def _state_words(record: Record) -> str:
    match record.state:
        case "finished":
            return ""
        case "stopped":
            return f"stopped at {float(record.found.get('rung', 0.0)):.0%} of its epochs"
        case "running":
            return "half done; it goes on with more time"
        case _:
            return f"failed: {record.found.get('reason', '')}"


def _left_out(outcome: Outcome) -> Table:
    rows = [[text_cell(candidate.words()), text_cell(why, tone="faint")] for candidate, why in outcome.left_out]
    return Table("Candidates that were not tried", [("candidate", False), ("why", False)], rows)


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    limits = []
    if outcome.limits.latency_ms is not None:
        limits.append(f"{outcome.limits.latency_ms:g} ms an image")
    if outcome.limits.size_bytes is not None:
        limits.append(f"{outcome.limits.size_bytes / 1e6:g} MB")
    return [
        ("data set", outcome.dataset),
        ("time", f"{time_words(outcome.spent)} of {time_words(outcome.seconds)}"),
        ("limits", ", ".join(limits) or "none"),
        ("test split", "not opened; dvc repro evaluates the winner on it"),
        ("latency", "median of 30 calls of ONNX Runtime, one image, one thread"),
    ]
