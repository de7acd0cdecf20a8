"""Figures as SVG within a page: drawn by matplotlib, in the colours and letters of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.evaluation.report.figures import BLUE, FAINT, GREY, INK, ORANGE, SERIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEXT = "#010203"  # stands for the page's colour of text; black itself stays black, on cells with a different colour
_GRID = "#b0b0b0"  # matplotlib's own
# What the page's style sheet calls the colours of figures, so that they can differ in the dark.
_COLOURS = {
    _TEXT: "currentColor",
    INK: "currentColor",
    FAINT: "var(--faint)",
    GREY: "var(--grey)",
    _GRID: "var(--grey)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    **{colour: f"var(--series-{place})" for place, colour in enumerate(SERIES) if place > 1},
}
_STYLE = {
    "svg.fonttype": "none",  # text stays text, in the page's own letters
    "svg.hashsalt": "sightline",  # ids are random else
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _TEXT),
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # time and version of matplotlib
_PIXELS = 4 / 3  # of CSS in a point
_SMALLEST = 0.72  # of a figure's own width, below which its letters are too small: then it scrolls


@dataclass(frozen=True)
class Chart:
    """A figure on a page.

    Attributes:
        title: above it.
        note: next to the title, "" for none.
        alt: what there is to see, for those who do not.
        svg: an element, safe to be put into a page.
        width: its own width, CSS pixels.
        least: the width below which it scrolls, CSS pixels.
    """

    title: str
    note: str
    alt: str
    svg: str
    width: int
    least: int


@contextmanager
def page_style() -> Iterator[None]:
    """Within the block figures are drawn so that `chart` can adapt their colours."""
    from matplotlib import rc_context

    with rc_context(_STYLE):  # type: ignore[arg-type]  # its annotation lists every key by name
        yield


def chart(name: str, title: str, alt: str, figure: Figure) -> Chart:
    """Return a figure drawn under `page_style` as an inline SVG element.

    Args:
        name: of letters, digits, - and _, unique on the page: its ids begin with it.
        title: above it.
        alt: what there is to see.
        figure: its own title goes into the page.
    """
    title, note = _titled(figure, title)
    written = io.StringIO()
    with page_style():
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    width, height = (float(number) for number in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2])
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" focusable="false" aria-hidden="true">'
    svg = opening + svg[svg.index(">") + 1 :]
    pixels = round(width * _PIXELS)
    return Chart(title, note, alt, _adapted(svg, name), pixels, round(pixels * _SMALLEST))


def _titled(figure: Figure, title: str) -> tuple[str, str]:
    """Take the title of a figure with one plot out of it; return the page's title and what goes next to it."""
    figure.suptitle("")
    own = [axis for axis in figure.axes if axis.get_title()]
    if len(own) != 1:
        return title, ""
    words = own[0].get_title()
    own[0].set_title("")
    return (words[0].upper() + words[1:], "") if words.lower().startswith(title.lower()) else (title, words)


def _adapted(svg: str, name: str) -> str:
    """Bring the marks of an SVG into a page, and leave its texts, which hold names of classes, as they are."""
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    adapted = re.sub(r"<[^>]*>", lambda found: _small(_own_ids(_own_colours(found[0]), name, used)), svg)
    return re.sub(r">\s*\n\s*<", "><", adapted)


def _own_colours(svg: str) -> str:
    svg = re.sub(r"#[0-9a-f]{6}", lambda found: _COLOURS.get(found[0], found[0]), svg)
    return re.sub(r"font-family: [^;\"]*;? ?|font: (?=\d)", "", svg)


def _own_ids(svg: str, name: str, used: set[str]) -> str:
    """Keep the ids that are referred to, prefixed with the figure's name: figures of one page share names else."""
    svg = svg.replace("xlink:", "")
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    return re.sub(r'(url\(#|href="#)', lambda found: f"{found[1]}{name}-", svg)


def _small(svg: str) -> str:
    """Cut coordinates to hundredths of a point, and white space."""
    return re.sub(r"\s*\n\s*", " ", re.sub(r"(\d+\.\d{2})\d+", r"\1", svg))
