"""`sightline stylize`: the style of some pictures on the content of another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sightline.system.errors import UserError

_Layers = Annotated[
    list[str] | None,
    typer.Option(help="NAME or NAME=WEIGHT, may be repeated; default: chosen by the network's structure"),
]
_Weight = Annotated[float | None, typer.Option(min=0, help="weight of this loss; default: see docs/style.md")]


def stylize(
    content: Annotated[Path, typer.Argument(help="the picture whose content is kept")],
    style: Annotated[Path, typer.Argument(help="a picture, or a folder of pictures")],
    weights: Annotated[str, typer.Option(help="weights of the network: a file, pretrained or random")] = "pretrained",
    network: Annotated[
        str, typer.Option(help="torchvision:NAME, timm:NAME, or a model's name")
    ] = "torchvision:squeezenet1_0",
    to: Annotated[Path, typer.Option(help="the output folder")] = Path("reports/stylized/picture"),
    mix: Annotated[list[str] | None, typer.Option(help="FILE=WEIGHT of the style's folder, may be repeated")] = None,
    size: Annotated[int, typer.Option(min=16, max=2048, help="longer side of the result, pixels")] = 256,
    style_size: Annotated[
        int | None, typer.Option(min=16, max=2048, help="longer side of the style pictures; default: the same as size")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimizer steps")] = None,
    content_layer: _Layers = None,
    style_layer: _Layers = None,
    content_weight: _Weight = None,
    style_weight: _Weight = None,
    tv_weight: _Weight = None,
    photorealism: Annotated[
        float | None, typer.Option(min=0, help="weight of the matting Laplacian; 0: a painting, 1000: a photograph")
    ] = None,
    content_regions: Annotated[Path | None, typer.Option(help="map of the content's regions, one colour each")] = None,
    style_regions: Annotated[Path | None, typer.Option(help="map of the style's regions, in the same colours")] = None,
    colours: Annotated[
        Literal["style", "luminance", "transfer"], typer.Option(help="where the colours come from")
    ] = "style",
    start: Annotated[Literal["content", "noise"], typer.Option(help="picture to start from")] = "content",
    optimizer: Annotated[Literal["lbfgs", "adam"], typer.Option(help="L-BFGS-B or Adam")] = "lbfgs",
    pooling: Annotated[Literal["max", "average"], typer.Option(help="pooling in the network")] = "average",
    frames: Annotated[int, typer.Option(min=0, help="keep a picture every N steps; 0: none")] = 0,
    animation: Annotated[
        Literal["none", "gif", "webp"], typer.Option(help="format of the animation of the frames")
    ] = "none",
    seed: Annotated[int, typer.Option(min=0, help="seed of the initial noise")] = 0,
) -> None:
    """Draw a picture in the style of others (Gatys, Ecker and Bethge): result, losses and their curve in a folder."""
    from sightline.commands.options import pairs
    from sightline.labs.stylize.jobs import make_styled
    from sightline.labs.stylize.progress import progress_bar

    if (content_regions is None) != (style_regions is None):
        raise UserError("--content-regions and --style-regions go together; give both or none")
    of_library = network.partition(":")[0] in ("torchvision", "timm")
    file = Path(weights)
    values = {
        "content": str(content),
        "style": str(style),
        "architecture": network if of_library else None,
        "weights": file.name if of_library else {"model": network},
        "mix": pairs("mix", mix),
        "content_layers": pairs("content-layer", content_layer, 1.0),
        "style_layers": pairs("style-layer", style_layer, 1.0),
        **{"size": size, "style_size": style_size, "steps": steps, "frames_every": frames, "animation": animation},
        **{"content_weight": content_weight, "style_weight": style_weight, "tv_weight": tv_weight},
        "photorealism": photorealism,
        "regions": content_regions and {"content": str(content_regions), "style": str(style_regions)},
        **{"colours": colours, "start": start, "optimizer": optimizer, "pooling": pooling},
    }
    section = _section({name: value for name, value in values.items() if value is not None})
    weights_folder = file.parent if of_library else Path("data/weights")
    with progress_bar("style", section.steps) as follow:
        made = make_styled(section, seed, to, weights_folder, follow)
    losses = ", ".join(f"{loss} {value:.3g}" for loss, value in made.numbers.items())
    print(f"{to}/result.png: {made.settings['steps_done']} steps, {losses}")


def _section(values: dict[str, Any]) -> Any:
    """Check the options together, as a section of params.yaml is checked."""
    from pydantic import ValidationError

    from sightline.config.styles import Style

    try:
        return Style.model_validate(values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))} {one['msg']}".strip() for one in error.errors()]
        raise UserError([line.removeprefix("Value error, ") for line in lines]) from None
