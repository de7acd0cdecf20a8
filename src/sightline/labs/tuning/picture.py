"""The picture of a learning rate range test."""

from __future__ import annotations

from pathlib import Path

from sightline.labs.tuning.rates import RangeTest, smoothed
from sightline.system.files import new_file

BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#94a3b8"


def draw_range_test(test: RangeTest, now: float, suggested: float | None, path: Path) -> None:
    """Draw the losses over the logarithm of the rate, with both rates marked.

    Args:
        test: what was measured.
        now: the rate that is written.
        suggested: the one read from the losses, if any could be.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure  # not pyplot: it holds global state

    means = smoothed(test.losses)
    figure = Figure(figsize=(7.0, 4.0), layout="constrained", dpi=110)
    axis = figure.subplots()
    axis.plot(test.rates, test.losses, color=GREY, linewidth=0.8, alpha=0.7, label="loss of each batch")
    axis.plot(test.rates, means, color=BLUE, linewidth=2, label="smoothed")
    axis.axvline(now, color=GREY, linestyle="--", linewidth=1.2, label=f"written: {now:g}")
    if suggested is not None:
        axis.axvline(suggested, color=ORANGE, linewidth=1.5, label=f"suggested: {suggested:g}")
    low, high = min(test.losses), float(means[0])
    room = 0.15 * (high - low) or 1.0  # no more above: what explodes would flatten the rest
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(low - room, high + 2 * room))
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower left")
    with new_file(path) as work:
        figure.savefig(work, metadata={"Software": None})  # the same bytes from every matplotlib release
