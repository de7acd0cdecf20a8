"""What style transfer and dreams leave in a folder: pictures, losses by step as table and curve, settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sightline.data.structures import UINT8
from sightline.labs.stylize.pictures import write_animation, write_picture
from sightline.system.files import new_file, write_json

# Colour-blind safe (Okabe and Ito 2008); the total is dark.
_COLOURS = {
    "total": "#1f2937",
    "style": "#ea580c",
    "content": "#2563eb",
    "tv": "#009e73",
    "photorealism": "#cc79a7",
    "answer": "#ea580c",
}


class Frames:
    """Pictures on the way, one of every so many steps.

    Args:
        every: steps between them; 0: none.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.kept: dict[int, UINT8] = {}

    def wanted(self, step: int) -> bool:
        """Return whether the picture after this step is kept."""
        return self.every > 0 and step % self.every == 0

    def write(self, folder: Path, last: UINT8, animation: Literal["none", "gif", "webp"]) -> None:
        """Write `frames/step_NNNN.png`, and `animation.*` with `last` at its end."""
        for step, pixels in self.kept.items():
            write_picture(pixels, folder / "frames" / f"step_{step:04d}.png")
        if animation != "none":
            same = [frame for frame in self.kept.values() if frame.shape == last.shape]
            write_animation([*same, last], folder / f"animation.{animation}", animation)


def write_losses(rows: Sequence[dict[str, float]], folder: Path, title: str) -> None:
    """Write `losses.csv` and `curve.png`; each row has `step` and the numbers of that step."""
    table = pd.DataFrame(rows).astype({"step": int})
    table.to_csv(folder / "losses.csv", index=False, float_format="%.6g")
    _draw_curve(table, title, folder / "curve.png")


def write_settings(values: dict[str, Any], folder: Path) -> None:
    """Write `settings.json`."""
    write_json(folder / "settings.json", values)


def _draw_curve(table: pd.DataFrame, title: str, path: Path) -> None:
    from matplotlib.figure import Figure  # not pyplot: it holds global state

    figure = Figure(figsize=(6.4, 3.6), layout="constrained", dpi=110)
    axis = figure.subplots()
    shown = [name for name in table.columns if name != "step" and (table[name] > 0).any()]
    for name in shown:
        wide = 2.2 if name == "total" else 1.4
        axis.plot(table["step"], table[name].where(table[name] > 0), color=_COLOURS[name], linewidth=wide, label=name)
    losses = "total" in shown
    axis.set(title=title, xlabel="step", ylabel="weighted loss" if losses else "answer")
    if losses:
        axis.set_yscale("log")
        axis.legend(frameon=False)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    with new_file(path) as work:
        figure.savefig(work, metadata={"Software": None})  # the same bytes from every matplotlib release
