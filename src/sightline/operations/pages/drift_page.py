"""The page of one check for drift: what was tested, what has changed, and pictures of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.operations.drift.comparison import Comparison, Finding, p_text
from sightline.operations.drift.pictures import draw_histograms, draw_history, draw_map, stranger_first
from sightline.operations.drift.seen import Seen
from sightline.operations.drift.statistics import STATISTICS
from sightline.operations.drift.verdicts import CheckRecord, Verdict
from sightline.operations.pages.charts import Chart, chart, page_style
from sightline.operations.pages.pictures import picture
from sightline.operations.pages.rendering import render
from sightline.operations.pages.tables import Cell, Table, figure_cell, text_cell

_LISTED = 50  # of the strangest images, in a table
_WORDS = {
    "embedding": "all features together, with kernels of five widths",
    "components": "each principal component of the features alone",
    "confidence": "probability of the predicted class",
    "objects": "boxes with a score of 0.5 or more",
    "best score": "of the most confident box of an image",
    "predicted classes": "shares of the classes among predictions",
    **STATISTICS,
}


@dataclass(frozen=True)
class DriftSources:
    """What a page is made from.

    Attributes:
        dataset: its name.
        reference, recent: both samples.
        comparison: of them.
        facts: pairs of text: where images come from, who looked at them.
        verdict: what is held of the data set; None before its first recorded check.
        history: its recorded checks.
        sheet: the picture of the strangest images.
        seed: of the map.
    """

    dataset: str
    reference: Seen
    recent: Seen
    comparison: Comparison
    facts: Sequence[tuple[str, str]]
    verdict: Verdict | None
    history: Sequence[CheckRecord]
    sheet: Path
    seed: int


def drift_page(sources: DriftSources) -> str:
    """Return the page."""
    own = sources.comparison
    return render(
        "drift.html",
        title=f"Drift of {sources.dataset} · Sightline",
        dataset=sources.dataset,
        drifting=own.drifting,
        p=p_text(own.p),
        alpha=f"{own.alpha:g}",
        reason=own.reason,
        samples=own.samples,
        verdict=sources.verdict,
        facts=sources.facts,
        tests=_tests(own),
        charts=_charts(sources),
        sheet=picture(sources.sheet, "A row of ordinary reference images, and the strangest recent images below"),
        strangest=_strangest(sources),
        unreadable=sources.recent.unreadable,
    )


def _tests(comparison: Comparison) -> Table:
    rows = []
    for finding in comparison.findings:
        changed = finding.adjusted < comparison.alpha
        rows.append(
            [
                text_cell(finding.name, _WORDS.get(finding.name, "")),
                _p_cell(finding.adjusted, "bad" if changed else ""),
                _p_cell(finding.p, "faint"),
                text_cell(finding.told, tone="" if changed else "faint"),
                text_cell(_test_words(finding), tone="faint"),
            ]
        )
    columns = [("compared", False), ("corrected p", True), ("p alone", True), ("change", False), ("test", False)]
    return Table(f"Every test; a corrected p below {comparison.alpha:g} is drift", columns, rows)


def _p_cell(p: float, tone: str) -> Cell:
    return Cell(p_text(p), p, tone=tone)


def _test_words(finding: Finding) -> str:
    return {"KS": "Kolmogorov-Smirnov", "KS, Holm": "Kolmogorov-Smirnov, Holm"}.get(finding.test, finding.test)


def _charts(sources: DriftSources) -> Mapping[str, Chart]:
    found = {}
    with page_style():
        histograms = draw_histograms(sources.reference, sources.recent, sources.comparison)
        placed = draw_map(sources.comparison, sources.seed)
        history = draw_history(sources.history, sources.comparison.alpha) if sources.history else None
    if histograms is not None:
        alt = "Histograms of reference and recent images; the table of tests has the medians"
        found["histograms"] = chart("histograms", "Measured image statistics", alt, histograms)
    alt = "Reference and recent images as points; similar images are close to each other"
    found["map"] = chart("map", "Map of the images", alt, placed)
    if history is not None:
        alt = f"Corrected p-values of {len(sources.history)} checks"
        found["history"] = chart("history", "Checks so far", alt, history)
    return found


def _strangest(sources: DriftSources) -> Table:
    own, recent = sources.comparison, sources.recent
    names = [name for name in STATISTICS if any(f.name == name and f.adjusted < own.alpha for f in own.findings)][:3]
    rows = []
    for number in stranger_first(own)[:_LISTED]:
        cells = [text_cell(recent.names[number]), figure_cell(float(own.strangeness[number]))]
        rows.append([*cells, *(figure_cell(float(recent.statistics[name][number])) for name in names)])
    columns = [("image", False), ("distance", True), *((name, True) for name in names)]
    return Table("The strangest recent images: distance from the nearest reference images, 1 is typical", columns, rows)
