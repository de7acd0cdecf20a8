"""How often drift is found: shifted and unshifted draws of embedded scenes, and power over the number of images.

`python -m bench.drift` measures the draws; `--power docs/images/drift_power.png` also draws the power.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator, Philox
from rich.console import Console
from rich.table import Table

from sightline.data.builtin_scenes import draw_scene, photographs
from sightline.data.encoding import encode_png
from sightline.drift.comparison import compare
from sightline.drift.images import Images
from sightline.drift.observers import HandmadeObserver, Observer
from sightline.drift.seen import Seen, look
from sightline.report.figures import SERIES, new_figure, save_figure
from sightline.stage import be_quiet
from sightline.structures import UINT8

SIZE = 64  # pixels, both sides
ALPHA = 0.01
REFERENCE, RECENT = 300, 200
DRAWS = 20
SIZES = (20, 30, 50, 80, 120, 200, 400)
Change = Callable[[UINT8], UINT8]


def brighter(factor: float) -> Change:
    """Return what multiplies grey levels."""
    return lambda image: np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


def blurred(sigma: float) -> Change:
    """Return a Gaussian blur of `sigma` pixels."""
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8)


def noisy(deviation: float) -> Change:
    """Return what adds Gaussian noise of so many grey levels, the same for the same image."""

    def change(image: UINT8) -> UINT8:
        rng = Generator(Philox(int(image.sum())))
        return np.clip(np.rint(image + rng.normal(0, deviation, image.shape)), 0, 255).astype(np.uint8)

    return change


CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    "brightness +1 %": brighter(1.01),
    "brightness +5 %": brighter(1.05),
    "brightness +10 %": brighter(1.1),
    "brightness +25 %": brighter(1.25),
    "blur 0.5 px": blurred(0.5),
    "blur 2 px": blurred(2),
    "noise 2 grey levels": noisy(2),
}
REQUIRED = ("brightness +25 %", "blur 2 px", "another photograph", "other colours", "every fourth image new")


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
            return [[np.ascontiguousarray(image[..., ::-1]) for image in own]]
        case "every fourth image new":
            return [own, own, own, [new_photograph()]]
        case _:
            return [own]


KINDS = (*CHANGES, "another photograph", "other colours", "every fourth image new")


def draw(kind: str, seed: int, count: int, observer: Observer) -> Seen:
    """Return what is seen of `count` scenes of a kind."""
    behind, change = backgrounds(kind), CHANGES.get(kind, CHANGES["none"])

    def read(number: int) -> bytes:
        return encode_png(change(scene(seed, number, behind[number % len(behind)])))

    seen = look(Images([f"scene {number}" for number in range(count)], read, count), observer)
    assert seen is not None
    return seen


def flagged(reference: Seen, recent: Seen, seed: int, permutations: int = 1999) -> tuple[bool, str]:
    """Return whether drift is found, and the test that finds it most clearly."""
    found = compare(reference, recent, (), ALPHA, permutations, seed)
    return found.drifting, found.findings[0].name


def acceptance(kinds: Sequence[str], draws: int, observer: Observer) -> dict[str, tuple[int, dict[str, int]]]:
    """Return, of each kind, how many draws are flagged, and how often each test was the clearest.

    Every draw has a reference and recent images of its own.
    """
    references = [draw("none", 1000 + number, REFERENCE, observer) for number in range(draws)]
    told = {}
    for kind in kinds:
        results = [
            flagged(references[number], draw(kind, 5000 + number, RECENT, observer), number) for number in range(draws)
        ]
        clearest: dict[str, int] = {}
        for found, name in results:
            if found:
                clearest[name] = clearest.get(name, 0) + 1
        told[kind] = (sum(found for found, _ in results), clearest)
    return told


def power(kinds: Sequence[str], draws: int, observer: Observer) -> dict[str, list[float]]:
    """Return, of each kind, the share of draws that are flagged for each number of `SIZES`."""
    references = [draw("none", 1000 + number, REFERENCE, observer) for number in range(draws)]
    shares: dict[str, list[float]] = {}
    for kind in kinds:
        recent = [draw(kind, 5000 + number, max(SIZES), observer) for number in range(draws)]
        shares[kind] = [
            float(
                np.mean([flagged(references[n], recent[n].take(np.arange(size, dtype=np.int64)), n)[0] for n in range(draws)])
            )
            for size in SIZES
        ]
    return shares


def draw_power(shares: dict[str, list[float]], draws: int, path: Path) -> None:
    """Write the power of the comparison over the number of recent images."""
    groups = {
        "light and sharpness": [kind for kind in shares if kind in CHANGES and kind != "none"],
        "content": [kind for kind in shares if kind not in CHANGES or kind == "none"],
    }
    figure, axes = new_figure(1, 2, width=10.5, height=4.2)
    for axis, (title, kinds) in zip(axes, groups.items(), strict=True):
        for place, kind in enumerate(kinds):
            colour = SERIES[place % len(SERIES)]
            style = "--" if place >= len(SERIES) else "-"
            label = "unshifted" if kind == "none" else kind
            axis.plot(SIZES, shares[kind], style, color=colour, marker="os^Dv<>"[place], markersize=4, label=label)
        axis.set(xscale="log", xticks=SIZES, xticklabels=map(str, SIZES), ylim=(-0.03, 1.03), title=title)
        axis.minorticks_off()
        axis.set(xlabel="recent images", ylabel=f"share of {draws} draws that are flagged")
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--power", type=Path, default=None, help="the picture to write")
    arguments = parser.parse_args()
    be_quiet()
    console, observer = Console(), HandmadeObserver()
    started = time.perf_counter()
    table = Table("change", "flagged", "clearest test", title=f"{REFERENCE} reference and {RECENT} recent images")
    for kind, (count, clearest) in acceptance(KINDS, arguments.draws, observer).items():
        told = ", ".join(f"{name} {times}" for name, times in sorted(clearest.items(), key=lambda pair: -pair[1]))
        table.add_row(kind, f"{count} of {arguments.draws}", told)
    console.print(table)
    console.print(f"{time.perf_counter() - started:.0f} s")
    if arguments.power is not None:
        shares = power(KINDS, arguments.draws, observer)
        for kind, own in shares.items():
            console.print(f"{kind}: " + ", ".join(f"{size}: {share:.2f}" for size, share in zip(SIZES, own, strict=True)))
        draw_power(shares, arguments.draws, arguments.power)


if __name__ == "__main__":
    main()
