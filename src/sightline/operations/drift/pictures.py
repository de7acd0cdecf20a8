"""What drift looks like: histograms, a map of both samples, the strangest images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sightline.data.structures import FLOAT32
from sightline.evaluation.report.figures import BLUE, FAINT, ORANGE, SMALL, new_figure
from sightline.operations.drift.comparison import Comparison, Finding
from sightline.operations.drift.seen import Seen
from sightline.operations.drift.two_samples import FLOAT64
from sightline.operations.drift.verdicts import CheckRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 24
_COLUMNS = 3
_MAPPED = 300  # images of either sample on the map
_SHEET = 8  # images in a row
_ROWS = 3  # of strange images
_LEAST_P = 1e-12  # the axis of p-values goes no further


def draw_histograms(reference: Seen, recent: Seen, comparison: Comparison) -> Figure | None:
    """Draw every number that varies, the clearest change first; None if nothing varies."""
    known = {**reference.statistics, **reference.answers}
    others = {**recent.statistics, **recent.answers}
    findings = {finding.name: finding for finding in comparison.findings}
    names = [name for name in findings if name in known and np.ptp(np.concatenate([known[name], others[name]])) > 0]
    if not names:
        return None
    rows = -(-len(names) // _COLUMNS)
    figure, axes = new_figure(rows, _COLUMNS, width=9.6, height=0.5 + 2.1 * rows)
    for axis, name in zip(axes, names, strict=False):
        _histogram(axis, known[name], others[name], findings[name], comparison.alpha)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _histogram(axis: Axes, reference: FLOAT64, recent: FLOAT64, finding: Finding, alpha: float) -> None:
    edges = np.histogram_bin_edges(np.concatenate([reference, recent]), _BINS)
    for values, colour, label in ((reference, BLUE, "reference"), (recent, ORANGE, "recent")):
        shares = 100 * np.histogram(values, edges)[0] / len(values)
        axis.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
        axis.stairs(shares, edges, color=colour, linewidth=1.4, label=label)
    changed = " · changed" if finding.adjusted < alpha else ""
    axis.set_xlabel(f"{finding.name}{changed}", fontsize=SMALL + 1)
    axis.set_ylabel("% of images", fontsize=SMALL)
    axis.tick_params(labelsize=SMALL)


def draw_map(comparison: Comparison, seed: int) -> Figure:
    """Draw both samples by their first two principal components, and by t-SNE (van der Maaten and Hinton 2008)."""
    reference, recent = (own[:_MAPPED] for own in comparison.points)
    figure, axes = new_figure(1, 2, width=9.6, height=4.6)
    joined = np.concatenate([reference, recent])
    views = {"principal components": joined[:, :2], "t-SNE": _curved(joined, seed)}
    for axis, (name, points) in zip(axes, views.items(), strict=True):
        flat = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
        for part, colour, label in (
            (flat[: len(reference)], BLUE, f"reference, {len(reference)} images"),
            (flat[len(reference) :], ORANGE, f"recent, {len(recent)} images"),
        ):
            axis.scatter(part[:, 0], part[:, 1], s=11, color=colour, alpha=0.65, linewidths=0, label=label)
        axis.set(xticks=[], yticks=[])
        axis.set_xlabel(name, fontsize=SMALL + 1)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=SMALL, frameon=False, markerscale=2)
    return figure


def _curved(points: FLOAT32, seed: int) -> FLOAT32:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(1.0, (len(points) - 1) / 3))
    found: FLOAT32 = TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(points)
    return found


def draw_history(checks: Sequence[CheckRecord], alpha: float) -> Figure:
    """Draw the p-value of each check; below the line drift was found."""
    from datetime import datetime

    figure, (axis,) = new_figure(1, 1, width=9.6, height=2.6)
    times = [datetime.fromisoformat(check.checked) for check in checks]
    values = [max(check.p, _LEAST_P) for check in checks]
    axis.axhline(alpha, color=FAINT, linewidth=1, linestyle="--")
    axis.annotate(f"alpha {alpha:g}", (1, alpha), xycoords=("axes fraction", "data"), fontsize=SMALL, color=FAINT)
    axis.plot(range(len(times)), values, color=FAINT, linewidth=1)
    for drifting, colour, label in ((False, BLUE, "no drift"), (True, ORANGE, "drift")):
        own = [place for place, check in enumerate(checks) if check.drifting == drifting]
        axis.scatter(own, [values[place] for place in own], color=colour, s=22, zorder=3, label=label)
    shown = sorted(set(np.linspace(0, len(times) - 1, min(len(times), 6)).round().astype(int).tolist()))
    axis.set_xticks(shown, [f"{times[place]:%Y-%m-%d %H:%M}" for place in shown], fontsize=SMALL)
    axis.set(yscale="log", ylim=(_LEAST_P / 3, 3), xlim=(-0.5, len(times) - 0.5))
    axis.set_ylabel("corrected p-value", fontsize=SMALL)
    axis.legend(fontsize=SMALL, frameon=False, loc="lower left")
    return figure


def stranger_first(comparison: Comparison) -> list[int]:
    """Return the numbers of the recent images, the strangest first."""
    order: list[int] = np.argsort(-comparison.strangeness, kind="stable").tolist()
    return order


def strange_sheet(reference: Seen, recent: Seen, comparison: Comparison) -> Image.Image:
    """Return a row of typical reference images, and below them the strangest recent ones with their strangeness."""
    centre = np.median(comparison.points[0], axis=0)
    typical = np.argsort(np.linalg.norm(comparison.points[0] - centre, axis=1), kind="stable")[:_SHEET].tolist()
    strangest = stranger_first(comparison)[: _SHEET * _ROWS]
    side, gap, line, head = recent.thumbnails.shape[1], 8, 16, 26
    font, bold = ImageFont.load_default(12), ImageFont.load_default(15)
    rows = -(-len(strangest) // _SHEET)
    high = side + line + gap
    sheet = Image.new("RGB", (_SHEET * (side + gap) + gap, 2 * head + side + gap + 2 * gap + rows * high), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, head / 2 + 2), "reference: the most typical images", "#1e1e1e", bold, anchor="lm")
    for place, number in enumerate(typical):
        sheet.paste(Image.fromarray(reference.thumbnails[number]), (gap + place * (side + gap), head))
    top = head + side + 2 * gap
    draw.line((gap, top, sheet.width - gap, top), "#d7d7d7")
    title = "recent: the strangest images; distance from the reference, 1 is typical"
    draw.text((gap, top + head / 2 + 2), title, "#1e1e1e", bold, anchor="lm")
    for place, number in enumerate(strangest):
        left, upper = gap + place % _SHEET * (side + gap), top + head + place // _SHEET * high
        sheet.paste(Image.fromarray(recent.thumbnails[number]), (left, upper))
        told = f"{comparison.strangeness[number]:.1f}  {PurePosixPath(recent.names[number]).stem}"
        while font.getlength(told) > side and len(told) > 1:
            told = told[:-1]
        draw.text((left, upper + side + 3), told, "#1e1e1e", font)
    return sheet
