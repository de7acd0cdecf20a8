"""`sightline dream`: what a layer or a class of a network sees, drawn into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def dream(
    network: Annotated[str, typer.Argument(help="a model's name or folder, torchvision:NAME or timm:NAME")],
    image: Annotated[Path | None, typer.Argument(help="the picture to start from; default: noise")] = None,
    weights: Annotated[
        str, typer.Option(help="weights of a library network: a file, pretrained or random")
    ] = "pretrained",
    layer: Annotated[
        str | None, typer.Option(help="a layer, as `sightline summary` names it; default: a deep one")
    ] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="channel of the layer; default: all")] = None,
    wanted: Annotated[str | None, typer.Option("--class", help="a class instead of a layer, by name or number")] = None,
    to: Annotated[Path, typer.Option(help="the output folder")] = Path("reports/dream"),
    size: Annotated[int, typer.Option(min=16, max=4096, help="longer side of the result, pixels")] = 384,
    steps: Annotated[int, typer.Option(min=1, help="steps per octave")] = 10,
    octaves: Annotated[int, typer.Option(min=1, max=12, help="number of sizes, from small to large")] = 4,
    octave_scale: Annotated[float, typer.Option(min=1.05, max=4, help="factor from one size to the next")] = 1.4,
    step_size: Annotated[float, typer.Option(min=0, help="mean change of a pixel per step, of 0..1")] = 0.01,
    jitter: Annotated[int, typer.Option(min=0, help="largest random shift before a step, pixels")] = 16,
    frames: Annotated[int, typer.Option(min=0, help="keep a picture every N steps; 0: none")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="seed of shifts and noise")] = 0,
) -> None:
    """Let a network dream: draw what a layer, a channel or a class responds to into a picture (DeepDream)."""
    from sightline.labs.stylize.dream import DreamSettings
    from sightline.labs.stylize.jobs import find_backbone, make_dream
    from sightline.labs.stylize.progress import progress_bar

    backbone = find_backbone(network, weights, Path("models"), seed)
    settings = DreamSettings(steps, octaves, octave_scale, step_size, jitter, seed)
    with progress_bar("dream", steps * octaves) as follow:
        made = make_dream(backbone, image, size, layer, channel, wanted, settings, frames, to, follow)
    seen = made.settings["layer"] or f"class {wanted}"
    print(f"{to}/result.png: {backbone.title}, {seen}, {made.settings['width']} x {made.settings['height']} px")
