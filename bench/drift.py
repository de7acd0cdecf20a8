"""How often drift is found: shifted and unshifted draws of embedded scenes, and power over the number of images.

`python -m bench.drift` measures the draws; `--power docs/images/drift_power.png` also draws the power.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator, Philox
from rich.console import Console
from rich.table import Table

from sightline.data.cache import counted
from sightline.data.encoding import encode_png
from sightline.data.raw.builtin_scenes import draw_scene, photographs
from sightline.data.structures import UINT8
from sightline.evaluation.report.figures import SERIES, new_figure, save_figure
from sightline.operations.drift.comparison import compare
from sightline.operations.drift.images import Images
from sightline.operations.drift.observers import HandmadeObserver, Observer
from sightline.operations.drift.seen import Seen, look
from sightline.pipeline.process import set_up_process

SIZE = 64  # pixels, both sides
ALPHA = 0.01
REFERENCE, RECENT = 300, 200
DRAWS = 20
SIZES = (20, 50, 100, 200, 400)
Change = Callable[[UINT8], UINT8]


def brighter(factor: float) -> Change:
    """Return what multiplies grey levels."""
    return lambda image: np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


def blurred(sigma: float) -> Change:
    """Return a Gaussian blur of `sigma` pixels."""
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    "brightness +1 %": brighter(1.01),
    "brightness +10 %": brighter(1.1),
    "brightness +25 %": brighter(1.25),
    "blur 0.5 px": blurred(0.5),
    "blur 2 px": blurred(2),
}
REQUIRED = ("brightness +25 %", "blur 2 px", "another photograph", "other colours")  # flagged in every draw
QUIET = ("none", "brightness +1 %")  # flagged in at most one of twenty


def scene(seed: int, number: int, backgrounds: Sequence[UINT8], size: int = SIZE) -> UINT8:
    """Return digits on a crop of one of the backgrounds; seed and number decide everything."""
    rng = Generator(Philox(key=np.array([seed, number], np.uint64)))
    drawn = draw_scene(rng, size, 4)
    background = backgrounds[int(rng.integers(len(backgrounds)))]
    top, left = (int(rng.integers(0, side - size + 1)) for side in background.shape[:2])
    behind = ~np.any(drawn.masks, axis=0)
    image = drawn.image.copy()
    image[behind] = background[top : top + size, left : left + size][behind]
    return image


def new_photograph() -> UINT8:
    """Return a photograph that comes with matplotlib: a portrait before a flag."""
    from matplotlib.cbook import get_sample_data

    file = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return np.asarray(cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def backgrounds(kind: str) -> list[list[UINT8]]:
    """Return the photographs behind the digits, one list for each part of the images."""
    own = list(photographs())
    match kind:
        case "another photograph":
            return [[new_photograph()]]
        case "other colours":
            return [[np.ascontiguousarray(image[..., [1, 2, 0]]) for image in own]]
        case "every fourth image new":
            return [own, own, own, [new_photograph()]]
        case _:
            return [own]


KINDS = (*CHANGES, "another photograph", "other colours", "every fourth image new")


@lru_cache(maxsize=4)
def scenes(kind: str, seed: int, count: int) -> list[UINT8]:
    """Return scenes before a change, which all changes of one draw share."""
    behind = backgrounds(kind)
    return [scene(seed, number, behind[number % len(behind)]) for number in range(count)]


def draw(kind: str, seed: int, count: int, observer: Observer) -> Seen:
    """Return what is seen of `count` scenes of a kind."""
    images, change = scenes("none" if kind in CHANGES else kind, seed, count), CHANGES.get(kind, CHANGES["none"])
    names = [f"scene {number}" for number in range(count)]
    seen = look(Images(names, lambda number: encode_png(change(images[number])), count), observer)
    assert seen is not None
    return seen


def flagged(reference: Seen, recent: Seen, seed: int, permutations: int = 1999) -> tuple[bool, str]:
    """Return whether drift is found, and the test that finds it most clearly."""
    found = compare(reference, recent, (), ALPHA, permutations, seed)
    return found.drifting, found.findings[0].name


@dataclass
class Result:
    """How many draws of a kind are flagged, by the number of recent images, and the clearest tests at `RECENT`."""

    found: Counter[int] = field(default_factory=Counter)
    clearest: Counter[str] = field(default_factory=Counter)


def measure(kinds: Sequence[str], draws: int, sizes: Sequence[int], observer: Observer) -> dict[str, Result]:
    """Return the result of each kind; every draw has a reference and recent images of its own."""
    results = {kind: Result() for kind in kinds}
    with counted(draws * len(kinds), "drawing") as advance:
        for number in range(draws):
            reference = draw("none", 1000 + number, REFERENCE, observer)
            for kind, result in results.items():
                recent = draw(kind, 5000 + number, max(sizes), observer)
                for size in sizes:
                    found, name = flagged(reference, recent.take(np.arange(size, dtype=np.int64)), number)
                    result.found[size] += found
                    result.clearest[name] += found and size == RECENT
                advance()
    return results


def draw_power(results: dict[str, Result], draws: int, path: Path) -> None:
    """Write the power of the comparison over the number of recent images."""
    figure, axes = new_figure(1, 2, width=11.5, height=4)
    light = [kind for kind in results if kind in CHANGES and kind != "none"]
    groups = {"light and sharpness": light, "content": [kind for kind in results if kind not in light]}
    for axis, (title, kinds) in zip(axes, groups.items(), strict=True):
        for place, kind in enumerate(kinds):
            shares = [results[kind].found[size] / draws for size in SIZES]
            label = "unshifted" if kind == "none" else kind
            colour = SERIES[place % len(SERIES)]
            axis.plot(SIZES, shares, "-", color=colour, marker="os^Dv"[place], markersize=4.5, label=label)
        axis.set(xscale="log", xticks=SIZES, xticklabels=[str(size) for size in SIZES], ylim=(-0.03, 1.03))
        axis.minorticks_off()
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xlabel="recent images", ylabel=f"share of {draws} draws that are flagged")
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--power", type=Path, default=None, help="the picture to write; takes three times as long")
    arguments = parser.parse_args()
    set_up_process()
    console, draws = Console(width=100), arguments.draws
    sizes = SIZES if arguments.power is not None else (RECENT,)
    results = measure(KINDS, draws, sizes, HandmadeObserver())
    title = f"draws of {draws} that are flagged; {REFERENCE} reference images"
    table = Table("change", *map(str, sizes), f"clearest test at {RECENT}", title=title)
    for kind, result in results.items():
        clearest = ", ".join(f"{name} {times}" for name, times in result.clearest.most_common(3) if times)
        table.add_row(kind, *(str(result.found[size]) for size in sizes), clearest)
    console.print(table)
    if arguments.power is not None:
        draw_power(results, draws, arguments.power)


if __name__ == "__main__":
    main()
