"""Style transfer with a small network: what falls, what repeats, what each setting changes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sightline.labs.stylize.colour import to_yiq
from sightline.labs.stylize.networks import Backbone
from sightline.labs.stylize.pictures import read_picture
from sightline.labs.stylize.transfer import Losses, Optimizer, Start, StyleTransfer, minimise
from sightline.models.style.losses import as_maps, gram, relative_distance

STYLE = {"body.1": 1.0, "body.4": 1.0}


def make(backbone: Backbone, pictures: Path, mix: tuple[float, ...] = (1.0, 0.0), **changes: Any) -> StyleTransfer:
    content, *styles = (read_picture(pictures / name, 28) for name in ("content.png", "styles/a.png", "styles/b.png"))
    weights = {"content_weight": 0.1, "style_weight": 10.0, "tv_weight": 0.01, **changes}
    return StyleTransfer(backbone, content, styles, mix, {"body.4": 1.0}, STYLE, **weights)


def run(
    transfer: StyleTransfer, steps: int = 25, start: Start = "content", optimizer: Optimizer = "lbfgs", seed: int = 0
) -> tuple[Tensor, list[Losses]]:
    rows: list[Losses] = []
    found = minimise(
        transfer, transfer.start(start, seed), steps, optimizer, 0.03, lambda step, losses, values: rows.append(losses)
    )
    return found, rows


def test_lbfgs_never_lets_the_loss_rise(backbone: Backbone, pictures: Path) -> None:
    transfer = make(backbone, pictures)
    before = float(transfer.losses(transfer.start("content", 0))["total"])
    found, rows = run(transfer)
    totals = [row["total"] for row in rows]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < before / 4
    assert float(transfer.losses(found)["total"]) == pytest.approx(totals[-1], rel=1e-4)
    assert found.min() >= 0
    assert found.max() <= 1
    for row in rows:
        assert row["total"] == pytest.approx(row["content"] + row["style"] + row["tv"], rel=1e-4)


def test_adam_lets_it_fall_too(backbone: Backbone, pictures: Path) -> None:
    _, rows = run(make(backbone, pictures), steps=40, optimizer="adam")
    assert len(rows) == 40
    assert rows[-1]["total"] < rows[0]["total"] / 2


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_seed_gives_the_same_bytes(backbone: Backbone, pictures: Path, optimizer: Optimizer) -> None:
    def noisy(seed: int) -> bytes:
        return run(make(backbone, pictures), 5, "noise", optimizer, seed)[0].numpy().tobytes()

    assert noisy(1) == noisy(1)
    assert noisy(1) != noisy(2)


def test_a_mix_is_nearer_to_the_style_of_more_weight(backbone: Backbone, pictures: Path) -> None:
    def distances(mix: tuple[float, float]) -> list[float]:
        found, _ = run(make(backbone, pictures, mix, content_weight=0.0), 10)
        seen = make(backbone, pictures)._outputs(backbone.normalise(found))
        away = []
        for only in ((1.0, 0.0), (0.0, 1.0)):
            goal = make(backbone, pictures, only).goal.style
            away.append(sum(float(relative_distance(gram(as_maps(seen[name])), goal[name])) for name in STYLE))
        return away

    first, half, second = distances((2.0, 0.0)), distances((1.0, 1.0)), distances((0.0, 1.0))
    assert first[0] < half[0] < second[0]
    assert second[1] < half[1] < first[1]
    assert first[0] < first[1]
    assert second[1] < second[0]


def test_luminance_keeps_the_chroma_of_the_content(backbone: Backbone, pictures: Path) -> None:
    transfer = make(backbone, pictures, colours="luminance", content_weight=0.0)
    found, rows = run(transfer, start="noise")
    assert found.shape == (1, 1, 20, 28)
    assert rows[-1]["style"] < rows[0]["style"]
    picture = transfer.picture(found)
    inside = ((picture > 0) & (picture < 1)).all(1)[0]  # what is clipped changes its colour
    assert inside.float().mean() > 0.5
    chroma, kept = to_yiq(transfer.content)[0, 1:, inside], to_yiq(picture)[0, 1:, inside]
    assert torch.allclose(kept, chroma, atol=1e-4)
    assert not torch.allclose(picture, transfer.content, atol=0.05)


def test_colour_transfer_changes_the_goal(backbone: Backbone, pictures: Path) -> None:
    plain, moved = (make(backbone, pictures, colours=colours).goal.style for colours in ("style", "transfer"))
    assert not torch.allclose(plain["body.1"], moved["body.1"], rtol=0.05)


def test_weights_of_layers_count_by_their_share(backbone: Backbone, pictures: Path) -> None:
    content, style = (read_picture(pictures / name, 28) for name in ("content.png", "styles/a.png"))
    weights = {"content_weight": 1.0, "style_weight": 1.0, "tv_weight": 0.0}

    def loss(layers: dict[str, float]) -> float:
        transfer = StyleTransfer(backbone, content, [style], [1], {"body.4": 1.0}, layers, **weights)
        return float(transfer.losses(content)["style"])

    both = loss({"body.1": 3.0, "body.4": 1.0})
    assert both == pytest.approx(0.75 * loss({"body.1": 1.0}) + 0.25 * loss({"body.4": 5.0}), rel=1e-4)
