"""Whole jobs: pictures, a network and settings in, a folder of results out; for stages, flows and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline.config.styles import Style
from sightline.config.weights import Weights, file_of
from sightline.labs.stylize.dream import Answer, DreamSettings, class_answer, dream, layer_answer
from sightline.labs.stylize.networks import Backbone, library_backbone, model_backbone
from sightline.labs.stylize.pictures import find_pictures, read_picture, to_pixels, write_picture
from sightline.labs.stylize.progress import Follow, follow_nothing
from sightline.labs.stylize.regions import Regions, read_regions
from sightline.labs.stylize.results import Frames, write_losses, write_settings
from sightline.labs.stylize.transfer import Losses, StyleTransfer, minimise
from sightline.models.style.layers import default_layers, with_average_pooling
from sightline.system.device import chosen_device
from sightline.system.errors import UserError, nearest
from sightline.system.files import new_folder
from sightline.tasks import weights_source


@dataclass(frozen=True)
class Made:
    """What a job has made.

    Attributes:
        folder: with result.png, losses.csv, curve.png, settings.json, and what else was asked for.
        settings: as written to settings.json.
        numbers: losses of the last step, or of a photograph that was smoothed after it; or the last answer of a dream.
    """

    folder: Path
    settings: dict[str, Any]
    numbers: Mapping[str, float]

    def files(self) -> list[Path]:
        """Return all files, by name."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def make_styled(
    section: Style,
    seed: int,
    folder: Path,
    weights_folder: Path = Path("data/weights"),
    follow: Follow = follow_nothing,
) -> Made:
    """Draw a content in the style of other pictures, into `folder`, in place of what was there.

    Args:
        section: what, how, how long.
        seed: of the noise to start from, and of random weights.
        folder: to make.
        weights_folder: where `weights: FILE` is looked up.
        follow: called with the losses of every step.

    Raises:
        UserError: pictures, weights or layers that are not there.
    """
    styles = _mixed(Path(section.style), section.mix)
    content = read_picture(Path(section.content), section.size)
    pictures = [read_picture(path, section.style_size or section.size) for path in styles]
    regions = _regions(section, content, pictures)
    backbone = _backbone(section.architecture, section.weights, weights_folder, seed)
    if section.pooling == "average" and _has_max_pooling(backbone):
        with_average_pooling(backbone.network)
    device = chosen_device()
    backbone, content = backbone.on(device), content.to(device)
    layers = _layers(section, backbone, content)
    transfer = StyleTransfer(
        backbone,
        content,
        [picture.to(device) for picture in pictures],
        list(styles.values()),
        *layers,
        content_weight=section.content_weight,
        style_weight=section.style_weight,
        tv_weight=section.tv_weight,
        colours=section.colours,
        regions=regions,
        photorealism=section.photorealism,
    )
    rows: list[dict[str, float]] = []
    frames = Frames(section.frames_every)

    def watch(step: int, losses: Losses, values: Tensor) -> None:
        rows.append({"step": step, **losses})
        if frames.wanted(step):
            frames.kept[step] = to_pixels(transfer.picture(values))
        follow(step, losses)

    first = transfer.start(section.start, seed)
    found = minimise(transfer, first, section.steps, section.optimizer, section.learning_rate, watch)
    last = {name: value for name, value in rows[-1].items() if name != "step"}
    smoothed = {}
    if section.photorealism:
        found = transfer.smoothed(found)
        with torch.inference_mode():
            last = smoothed = {name: loss.item() for name, loss in transfer.losses(found).items()}
    result = to_pixels(transfer.picture(found))
    settings = {
        **section.model_dump(),
        "seed": seed,
        "mix": {path.name: weight / sum(styles.values()) for path, weight in styles.items()},
        "content_layers": layers[0],
        "style_layers": layers[1],
        "network": backbone.title,
        "height": result.shape[0],
        "width": result.shape[1],
        "steps_done": len(rows),
        **({"smoothed": smoothed} if smoothed else {}),
    }
    with new_folder(folder) as work:
        write_picture(result, work / "result.png")
        frames.write(work, result, section.animation)
        write_losses(rows, work, "style transfer")
        write_settings(settings, work)
    return Made(folder, settings, last)


def make_dream(
    backbone: Backbone,
    picture: Path | None,
    size: int,
    layer: str | None,
    channel: int | None,
    wanted: str | None,
    settings: DreamSettings,
    frames_every: int,
    folder: Path,
    follow: Follow = follow_nothing,
) -> Made:
    """Let a network dream, into `folder`, in place of what was there.

    Args:
        backbone: the network.
        picture: to start from; None: noise, `size` x `size`.
        size: longer side of the result, pixels.
        layer: what grows; None: a layer that the network's structure suggests, unless a class is wanted.
        channel: of that layer; None: all.
        wanted: a class instead, by name or number.
        settings: how.
        frames_every: steps between frames that are kept; 0: none.
        folder: to make.
        follow: called with the response of every step.

    Raises:
        UserError: a picture, layer, channel or class that is not there, or both a layer and a class.
    """
    device = chosen_device()
    backbone = backbone.on(device)
    start = (
        _noise(backbone.channels, size, settings.seed)
        if picture is None
        else read_picture(picture, size, backbone.channels)
    )
    start = start.to(device)
    answer, layer = _answer(backbone, start, layer, channel, wanted)
    rows: list[dict[str, float]] = []
    frames = Frames(frames_every)

    def watch(step: int, told: float, current: Tensor) -> None:
        rows.append({"step": step, "answer": told})
        if frames.wanted(step):
            frames.kept[step] = to_pixels(current)
        follow(step, {"answer": told})

    result = to_pixels(dream(backbone, start, answer, settings, watch))
    written = {
        **asdict(settings),
        "network": backbone.title,
        "picture": None if picture is None else str(picture),
        "layer": layer,
        "channel": channel,
        "class": wanted,
        "height": result.shape[0],
        "width": result.shape[1],
    }
    with new_folder(folder) as work:
        write_picture(result, work / "result.png")
        frames.write(work, result, "none")
        write_losses(rows, work, f"{backbone.title}: {layer or f'class {wanted}'}")
        write_settings(written, work)
    return Made(folder, written, {"answer": rows[-1]["answer"]})


def find_backbone(name: str, weights: str, models: Path, seed: int = 0) -> Backbone:
    """Return the network that a word names: a model directory, a model in `models`, or a network of a library.

    Args:
        name: a folder, a name in `models`, `torchvision:NAME` or `timm:NAME`.
        weights: of a network of a library: a file, `pretrained` or `random`.
        models: folder of the pipeline's models.
        seed: of random weights.

    Raises:
        UserError: nothing has that name, or weights that do not fit.
    """
    if name.partition(":")[0] in ("torchvision", "timm"):
        return library_backbone(name, weights_source(weights, name, Path()), seed)
    for folder in (models / name, Path(name)):
        if (folder / "model.json").is_file():
            return model_backbone(folder)
    known = sorted(path.parent.name for path in models.glob("*/model.json"))
    there = ", ".join(known) or "models/NAME (none is trained)"
    raise UserError(
        f"{name}: no such model{nearest(name, known, most=3)}; use one of {there}, "
        "the folder of a model, torchvision:NAME or timm:NAME"
    )


def _answer(
    backbone: Backbone, start: Tensor, layer: str | None, channel: int | None, wanted: str | None
) -> tuple[Answer, str | None]:
    if wanted is not None:
        for option, value in (("layer", layer), ("channel", channel)):
            if value is not None:
                raise UserError(f"{option}: {value}: --class {wanted} is given too; leave one of the two out")
        return class_answer(backbone, wanted, start), None
    layer = layer or default_layers(backbone.network, backbone.normalise(start)).dream
    return layer_answer(backbone, layer, channel, start), layer


def _noise(channels: int, size: int, seed: int) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return (0.5 + 0.05 * torch.randn(1, channels, size, size, generator=drawn)).clamp(0, 1)


def _mixed(place: Path, mix: Mapping[str, float] | None) -> dict[Path, float]:
    """Return the pictures of the style with their weights."""
    found = find_pictures(place)
    if mix is None:
        return dict.fromkeys(found, 1.0)
    by_name = {path.name: path for path in found}
    for name in mix:
        if name not in by_name:
            near = nearest(name, by_name, most=3)
            raise UserError(f"mix: {name}: no such picture in {place}{near}; there are {', '.join(by_name)}")
    return {by_name[name]: weight for name, weight in mix.items() if weight}


def _regions(section: Style, content: Tensor, styles: Sequence[Tensor]) -> Regions | None:
    """Return the masks of content and style, at their sizes."""
    if section.regions is None:
        return None
    if len(styles) != 1:
        raise UserError(f"regions: {section.style} has {len(styles)} pictures; name a single picture as style")
    shapes = [(one.shape[2], one.shape[3]) for one in (content, styles[0])]
    return read_regions(Path(section.regions.content), Path(section.regions.style), *shapes)


def _backbone(architecture: str | None, weights: Weights, weights_folder: Path, seed: int) -> Backbone:
    file = file_of(weights, architecture, weights_folder)
    if architecture is None:
        assert file is not None  # the section says so
        return model_backbone(file.parent)
    return library_backbone(architecture, weights_source(weights, architecture, weights_folder), seed)


def _has_max_pooling(backbone: Backbone) -> bool:
    return any(isinstance(module, torch.nn.MaxPool2d) for module in backbone.network.modules())


def _layers(section: Style, backbone: Backbone, content: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """Return content and style layers with their weights, found by structure where the section names none."""
    of_content, of_style = section.content_layers, section.style_layers
    if of_content is None or of_style is None:
        found = default_layers(backbone.network, backbone.normalise(content))
        of_content = of_content or {found.content: 1.0}
        of_style = of_style or dict.fromkeys(found.style, 1.0)
    return ({name: w for name, w in of_content.items() if w}, {name: w for name, w in of_style.items() if w})
