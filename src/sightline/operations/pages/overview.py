"""The overview: three sentences on the best models, a table of all, and the cards of their data sets."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.operations.pages.datasets import DataCard, data_card
from sightline.operations.pages.model_page import headline_of, unit_range
from sightline.operations.pages.rendering import render
from sightline.operations.pages.sources import Sources
from sightline.operations.pages.standing import standing_of
from sightline.operations.pages.tables import Cell, Table, text_cell
from sightline.operations.pages.times import making_words
from sightline.operations.pages.verdict import Verdict
from sightline.operations.pages.words import DASH, interval, metric_title, number, task_words


def overview_page(models: Sequence[Sources], missing: Sequence[str], verdicts: Sequence[Verdict] = ()) -> str:
    """Return the overview of evaluated models.

    Args:
        models: in the order of the table.
        missing: names that are not evaluated yet.
        verdicts: three sentences on the best of them.
    """
    rows = [row for sources in models for row in (*_champion_row(sources), _row(sources))]
    columns = [
        ("model", False),
        ("metric", False),  # first what a phone has room for
        ("score", True),
        ("interval, from 0 to 1", False),
        ("version", False),
        ("decision", False),
        ("task", False),
        ("data set", False),
    ]
    table = Table(
        "All models, their headline metric on the test images and their status in the registry", columns, rows
    )
    prepared = {sources.dataset: sources for sources in models}
    standings = {sources.name: standing_of(sources, sources.release()) for sources in models}
    described = {name: f"{own.version}, {own.word}" for name, own in standings.items() if own.version}
    cards = [(card, _users(card, models)) for own in prepared.values() if (card := data_card(own.prepared))]
    return render(
        "overview.html",
        table=table,
        cards=cards,
        missing=list(missing),
        verdicts=list(verdicts),
        described=described,
        making=making_words(models),
        title="Models · Sightline",
    )


def _users(card: DataCard, models: Sequence[Sources]) -> list[str]:
    return [sources.name for sources in models if sources.dataset == card.name]


def _champion_row(sources: Sources) -> list[list[Cell]]:
    """Return a row of the champion, where the released model is another one."""
    leader = sources.outcome.leader if sources.outcome is not None else None
    if leader is None:
        return []
    own = leader.headline
    low, high = own.get("low"), own.get("high")
    return [
        [
            Cell(sources.name, sources.name, link=f"{sources.name}/index.html#decisions"),
            text_cell(metric_title(own["name"])),
            Cell(number(own["value"]), own["value"]),
            Cell(interval(low, high), own["value"] if low is None else low, range=unit_range(own)),
            Cell(leader.version or leader.place, leader.version),
            Cell("champion", "champion", tone="good", note=leader.decision_text(short=True)),
            text_cell(task_words(leader.task)),
            Cell(sources.dataset, sources.dataset, link=f"#data-{sources.dataset}"),
        ]
    ]


def _row(sources: Sources) -> list[Cell]:
    metrics = sources.metrics()
    own, headline = metrics["headline"], headline_of(metrics)
    standing = standing_of(sources, sources.release())
    low = own.get("low")
    return [
        Cell(sources.name, sources.name, link=f"{sources.name}/index.html"),
        text_cell(metric_title(own["name"])),
        Cell(number(own["value"]), own["value"]),
        Cell(headline.interval or DASH, own["value"] if low is None else low, range=unit_range(own)),
        Cell(standing.version.replace("version ", "") or DASH, standing.version),
        Cell(standing.word, standing.word, tone=standing.tone, note=standing.short),
        text_cell(task_words(metrics["task"])),
        Cell(sources.dataset, sources.dataset, link=f"#data-{sources.dataset}"),
    ]
