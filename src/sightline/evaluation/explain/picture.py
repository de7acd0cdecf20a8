"""A picture with what has to be said of it, so that a report shows it without knowing how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from sightline.evaluation.report.figures import GREY, INK, ORANGE, SMALL, plain, save_figure
from sightline.system.files import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIST = "explanations.json"
_PER_INCH = 15  # characters of the lines below a picture


@dataclass(frozen=True)
class Check:
    """A number that says whether a picture can be believed.

    Attributes:
        name: of what is measured.
        value: of the network.
        of_random: the same of something that knows nothing: a random order, random weights, another image.
        passes: whether the network does better than that.
        told: the outcome in words.
    """

    name: str
    value: float
    of_random: float
    passes: bool
    told: str


@dataclass(frozen=True)
class Picture:
    """A drawn figure and its description.

    Attributes:
        method: which made it; names the file.
        title: a few words.
        caption: one sentence, in plain words: what is seen.
        source: paper, as author and year.
        checks: may be none.
        figure: what is drawn.
    """

    method: str
    title: str
    caption: str
    source: str
    checks: tuple[Check, ...]
    figure: Figure

    @property
    def file(self) -> str:
        """Name of the PNG file."""
        return f"{self.method}.png"

    def to_json(self) -> dict[str, Any]:
        """Return all but the figure as plain values."""
        told = {name: getattr(self, name) for name in ("file", "title", "caption", "method", "source")}
        checks = [asdict(check) for check in self.checks]
        rounded = [{**own, "value": round(own["value"], 4), "of_random": round(own["of_random"], 4)} for own in checks]
        return {**told, "checks": rounded}


def write_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Write each picture as PNG and `explanations.json` that lists them, into an existing folder."""
    for picture in pictures:
        save_figure(picture.figure, folder / picture.file)
    write_json(folder / LIST, {"pictures": [picture.to_json() for picture in pictures]})


def tell_checks(figure: Figure, checks: Sequence[Check]) -> None:
    """Write the outcome of each check below all that is drawn, those that fail in orange and with the word."""
    from matplotlib.lines import Line2D

    width = round(figure.get_figwidth() * _PER_INCH)
    handles = []
    for check in checks:
        words = f"{'passed' if check.passes else 'CHECK FAILED'}: {check.told}"
        lines = wrap(words, width)
        colour = GREY if check.passes else ORANGE
        handles.append(Line2D([], [], marker="s", linestyle="none", color=colour, label="\n".join(map(_whole, lines))))
    if not handles:
        return
    legend = figure.legend(
        handles=handles, loc="outside lower left", frameon=False, fontsize=SMALL, ncols=1, handletextpad=0.4
    )
    for text, check in zip(legend.get_texts(), checks, strict=True):
        text.set_color(INK if check.passes else ORANGE)


def _whole(line: str) -> str:
    return plain(line, len(line))
