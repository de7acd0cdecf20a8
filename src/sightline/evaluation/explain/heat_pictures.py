"""Makes the picture of each heat-map method with its checks: random weights, deletion, insertion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from sightline.data.structures import FLOAT32, UINT8
from sightline.evaluation.explain.faithfulness import Curves, area, curves, random_curves
from sightline.evaluation.explain.heat import HeatMethod, heat_maps
from sightline.evaluation.explain.heat_sheet import COLUMNS, HeatCell, draw_heat_sheet
from sightline.evaluation.explain.layers import heat_layer, map_layers
from sightline.evaluation.explain.picture import Check, Picture
from sightline.evaluation.explain.randomisation import (
    ALIKE,
    rank_correlation,
    structural_similarity,
    with_random_weights,
)
from sightline.evaluation.explain.targets import surest_targets
from sightline.tasks.base import Target, Task

Advance = Callable[[], None]
Similarity = Callable[[FLOAT32, FLOAT32], float]


@dataclass(frozen=True)
class Subject:
    """What is explained.

    Attributes:
        task: in evaluation mode.
        name: of the model.
        pixels: N x S x S x C uint8.
        truths: N names of true classes, None if there is none.
        layer: of Grad-CAM, None: chosen.
        seed: of random weights and orders.
    """

    task: Task
    name: str
    pixels: UINT8
    truths: Sequence[str | None]
    layer: str | None
    seed: int


def heat_pictures(subject: Subject, methods: Sequence[HeatMethod], advance: Advance) -> list[Picture]:
    """Explain the most confident prediction of each image by each method.

    Args:
        subject: what is explained.
        methods: by which.
        advance: called after each method.

    Raises:
        UserError: the task has no scores of classes, or no layer that Grad-CAM could use.
    """
    if not methods:
        return []
    task = subject.task
    targets = surest_targets(task, subject.pixels)
    by_chance = [
        random_curves(task, own, target, subject.seed, number)
        for number, (own, target) in enumerate(zip(subject.pixels, targets, strict=True))
    ]
    renewed = with_random_weights(task, subject.seed)
    made = []
    for method in methods:
        made.append(_picture(subject, renewed, method, targets, by_chance))
        advance()
    return made


def _picture(
    subject: Subject,
    renewed: Task,
    method: HeatMethod,
    targets: Sequence[Target],
    by_chance: Sequence[tuple[FLOAT32, FLOAT32]],
) -> Picture:
    pixels = subject.pixels
    heats = heat_maps(method, subject.task, pixels, targets, subject.layer)
    some = slice(0, COLUMNS)  # the first row; the check needs no more
    random_heats = heat_maps(method, renewed, pixels[some], targets[some], subject.layer)
    measured = [
        curves(subject.task, own, target, heat, chance)
        for own, target, heat, chance in zip(pixels, targets, heats, by_chance, strict=True)
    ]
    placed = targets[0].place >= 0 or targets[0].region is not None
    checks = (*similarity_checks(heats[some], random_heats, placed), *curve_checks(measured))
    cells = [
        HeatCell(pixels[n], targets[n], subject.truths[n], heats[n], random_heats[n] if n < COLUMNS else None, own)
        for n, own in enumerate(measured)
    ]
    title, caption, source = _words(method, subject)
    return Picture(method, title, caption, source, checks, draw_heat_sheet(cells, f"{subject.name}: {title}", checks))


def similarity_checks(heats: FLOAT32, random_heats: FLOAT32, placed: bool) -> tuple[Check, Check]:
    """Compare N maps with those of random weights, by rank correlation and SSIM.

    What unrelated maps have in common, such as bright middles, is seen from maps of different images.

    Args:
        heats: N x S x S.
        random_heats: N x S x S.
        placed: whether the score belongs to a place of the image, as an object's does.
    """
    rank, rank_of_others = _mean_similarity(heats, random_heats, rank_correlation)
    alike, alike_of_others = _mean_similarity(heats, random_heats, structural_similarity)
    passes = rank < ALIKE
    shown = "the image, or the position asked about" if placed else "the image"
    meaning = "so the map comes from what was learned" if passes else f"so it shows {shown}, not what was learned"
    return (
        Check(
            "random_weights",
            rank,
            rank_of_others,
            passes,
            f"with random weights the map {'changes' if passes else 'stays nearly the same'} (rank correlation "
            f"{rank:.2f}, must be below {ALIKE}; maps of different images {rank_of_others:.2f}), {meaning}.",
        ),
        Check(
            "random_weights_ssim",
            alike,
            alike_of_others,
            alike < ALIKE,
            f"structural similarity to the map of random weights {alike:.2f}, must be below {ALIKE} "
            f"(maps of different images {alike_of_others:.2f}).",
        ),
    )


def _mean_similarity(heats: FLOAT32, random_heats: FLOAT32, similarity: Similarity) -> tuple[float, float]:
    """Return the mean over pairs of the same image, and over pairs of different ones."""
    table = np.array([[similarity(one, other) for other in random_heats] for one in heats])
    same = float(table.diagonal().mean())
    others = table[~np.eye(len(table), dtype=bool)]
    return same, float(others.mean()) if others.size else same


def curve_checks(measured: Sequence[Curves]) -> tuple[Check, Check]:
    """Compare mean areas under the curves of deletion and insertion with those of random orders."""
    deletion, insertion, random_deletion, random_insertion = (
        float(np.mean([area(getattr(own, name)) for own in measured]))
        for name in ("deletion", "insertion", "random_deletion", "random_insertion")
    )
    faster, sooner = deletion < random_deletion, insertion > random_insertion
    return (
        Check(
            "deletion",
            deletion,
            random_deletion,
            faster,
            f"without the hottest pixels the network loses its prediction {'sooner' if faster else 'NOT sooner'} than "
            f"in random order (area under the curve {deletion:.2f}, random {random_deletion:.2f}; low is good).",
        ),
        Check(
            "insertion",
            insertion,
            random_insertion,
            sooner,
            f"with only the hottest pixels the network recovers its prediction {'sooner' if sooner else 'NOT sooner'} "
            f"than in random order (area under the curve {insertion:.2f}, random {random_insertion:.2f}; high is good)",
        ),
    )


def _words(method: HeatMethod, subject: Subject) -> tuple[str, str, str]:
    """Return title, caption and source."""
    match method:
        case "grad_cam":
            layer = heat_layer(map_layers(subject.task, subject.pixels), subject.layer)
            return (
                f"Grad-CAM of {layer}",
                f"Bright areas are those whose features in layer {layer} support the prediction, at the resolution "
                "of that layer.",
                "Selvaraju et al. 2017",
            )
        case "occlusion":
            return (
                "Occlusion",
                "Bright areas are those where a grey square, a fifth of the image wide, makes the network less "
                "confident.",
                "Zeiler and Fergus 2014",
            )
        case "integrated_gradients":
            return (
                "Integrated gradients",
                "Bright pixels are those that raise or lower the score on the way from a blank image to this one.",
                "Sundararajan et al. 2017",
            )
        case _:
            assert_never(method)
