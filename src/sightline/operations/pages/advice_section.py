"""What to do next, on a model's page: sentences, the learning curve and a table of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.evaluation.report.figures import BLUE, ORANGE, new_figure
from sightline.operations.advice import MoreData, advise_on
from sightline.operations.advice.words import points, sentences
from sightline.operations.pages.charts import Chart, chart, page_style
from sightline.operations.pages.sources import Sources
from sightline.operations.pages.tables import Cell, Table, figure_cell, text_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES = 25


@dataclass(frozen=True)
class AdviceSection:
    """Sentences, the learning curve and the gains of the classes, where there are some."""

    sentences: list[str]
    chart: Chart | None
    classes: Table | None


def advice_section(sources: Sources) -> AdviceSection | None:
    """Return the advice on a model, None if there is none.

    Raises:
        UserError: a damaged learning curve.
    """
    advice = advise_on(sources.root, sources.dataset, sources.peers, sources.name)
    found = advice.doubling
    if advice.is_empty:
        return None
    return AdviceSection(
        sentences(advice), _curve_chart(found) if found else None, _classes_table(found) if found else None
    )


def _curve_chart(found: MoreData) -> Chart:
    with page_style():
        figure = _drawn(found)
    first = found.curve[0]
    alt = (
        f"Accuracy over training images, from {100 - first[1]:.1f} % with {first[0]:,} to {found.accuracy:.1f} % with "
        f"{found.train_images:,}, expected {found.accuracy + found.points:.1f} % with twice as many"
    )
    return chart("learning-curve", "Learning curve", alt, figure)


def _drawn(found: MoreData) -> Figure:
    figure, (axis,) = new_figure(1, 1, width=4.8, height=3.0)
    sizes, errors, deviations = zip(*found.curve, strict=True)
    now, twice = found.train_images, 2 * found.train_images
    axis.errorbar(
        sizes,
        [100 - error for error in errors],
        yerr=[1.96 * deviation for deviation in deviations],
        color=BLUE,
        marker=".",
        capsize=2,
        label="measured",
    )
    ends = [found.accuracy + gain for gain in (found.low, found.high)]
    line = [100 - errors[-1], found.accuracy, found.accuracy + found.points]
    axis.plot([sizes[-1], now, twice], line, "--", color=ORANGE, label="expected")
    axis.fill_between([now, twice], [found.accuracy, ends[0]], [found.accuracy, ends[1]], color=ORANGE, alpha=0.2)
    axis.set_xscale("log", base=2)
    ticks = [*sizes[:-1], now, twice]  # the largest part is too near to the whole for both numbers
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set(xlabel="training images", ylabel="accuracy, %")
    axis.legend(frameon=False, loc="lower right")
    return figure


def _classes_table(found: MoreData) -> Table:
    rows = [
        [
            text_cell(one.name),
            figure_cell(one.train_images),
            Cell(f"{one.recall:.1f} %", one.recall),
            Cell(points(one.points), one.points),
            Cell(f"{points(one.low)} to {points(one.high)}", one.low),
        ]
        for one in found.classes[:_MOST_CLASSES]
    ]
    columns = [
        ("class", False),
        ("train images", True),
        ("recall on train images left out", True),
        ("gain of twice the data, points", True),
        (f"{found.confidence:.0%} interval", True),
    ]
    rest = len(found.classes) - len(rows)
    more = f"; {rest:,} gain less" if rest else ""
    caption = f"What twice the data of all classes is worth to {found.head}, for each{more}"
    return Table(caption, columns, rows)
