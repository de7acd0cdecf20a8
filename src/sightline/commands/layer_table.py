"""Shows the layers of a network: a model of params.yaml or a network's name in, a table for the terminal out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.cells import cell_len
from rich.console import Group
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from sightline.config import Params
from sightline.config.models import Model
from sightline.config.network import LECTURE_NETWORKS
from sightline.system.errors import UserError, meant, nearest

if TYPE_CHECKING:
    from torch import nn

    from sightline.models.inspect.inspection import Inspection, Layer
    from sightline.models.inspect.operations import Window

COLUMNS = ("layer", "kind", "output", "kernel", "stride", "pad", "parameters", "mult-adds\nmillions", "sees\npx")
T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A network and the image that it is shown.

    Attributes:
        title: what the table is about.
        network: takes N x C x H x W float32; on torch's meta device where it can be built there.
        shape: C, H and W of the image.
    """

    title: str
    network: nn.Module
    shape: tuple[int, int, int]


def find_subject(
    name: str, params: Params | None, prepared: Path, size: int | None, channels: int | None, classes: int | None
) -> Subject:
    """Build what a name means: a model of the params file, else a network by the word of `task.architecture`.

    Args:
        name: `digit-cnn`, `mnist_cnn`, `torchvision:vgg16`, `timm:resnet10t`.
        params: the checked params file, if there is one.
        prepared: folder of the prepared data sets; their labels give a model's number of classes.
        size: height and width in pixels; None: as usual for the network. Not for models of the params file.
        channels: 1 or 3, likewise.
        classes: likewise; for a model only where its data set is not prepared.

    Raises:
        UserError: nothing has that name, or an option does not go with it.
    """
    models = params.models if params else {}
    if name in models:
        for option, value in (("size", size), ("channels", channels)):
            if value is not None:
                raise UserError(
                    f"--{option}: {value}: already set by models.{name}.input; leave it out, or name a network"
                )
        return _of_model(name, models[name], prepared / models[name].dataset, classes)
    if name not in LECTURE_NETWORKS and name.partition(":")[0] not in ("torchvision", "timm"):
        known = (*models, *LECTURE_NETWORKS)
        full = [f"{library}:{name}" for library in _libraries_with(name)]
        told = meant(full) or nearest(name, known)
        raise UserError(
            f"{name}: no such model or network{told}; use one of {', '.join(known)}, torchvision:NAME or timm:NAME"
        )
    small = name in LECTURE_NETWORKS and name != "alexnet"
    return _of_word(
        name, channels or (1 if small else 3), size or (28 if small else 224), classes or _usual_classes(name, small)
    )


def _libraries_with(name: str) -> list[str]:
    import timm
    from torchvision import models

    return ["torchvision"] * (name in models.list_models(module=models)) + ["timm"] * bool(timm.is_model(name))


def _usual_classes(name: str, small: bool) -> int:
    if name == "neuron":
        return 2
    return 10 if small else 1000


def _of_model(name: str, model: Model, folder: Path, classes: int | None) -> Subject:
    from sightline.data.images import sides
    from sightline.data.store import load_labels
    from sightline.data.structures import LabelMap
    from sightline.tasks import build

    if (folder / "labels.json").is_file():
        if classes is not None:
            raise UserError(
                f"--classes: {classes}: {folder / 'labels.json'} already defines them; leave it out, or name a network"
            )
        labels = load_labels(folder)
    else:
        names = tuple(map(str, range(classes or 10)))
        labels = LabelMap(names, names, values=names, keypoints=names, characters=names)
    image = model.input
    network = _without_numbers(lambda: build(model.task, image, labels)).network
    return Subject(f"{name}, {model.task.kind.replace('_', ' ')}", network, (image.channels, *sides(image.extent)))


def _of_word(name: str, channels: int, size: int, classes: int) -> Subject:
    from sightline.models.classify.classifiers import build_classifier

    if channels not in (1, 3):
        raise UserError(f"--channels: {channels}: must be 1 or 3")
    network = _without_numbers(lambda: build_classifier(name, channels, size, classes)).network
    return Subject(name, network, (channels, size, size))


def _without_numbers(build: Callable[[], T]) -> T:
    """Build on torch's meta device, as drawing the weights of VGG takes seconds; else, where that fails, as usual."""
    import torch

    try:
        with torch.device("meta"):
            return build()
    except Exception:
        return build()


def layer_table(subject: Subject, inspection: Inspection, width: int) -> Group:
    """Return a row per layer, the totals, and how to read them, for a terminal of `width` characters."""
    shown = [layer for layer in inspection.layers if layer.kind != "Identity"]
    rows = [_cells(layer) for layer in shown]
    heads = [head.split("\n") for head in COLUMNS]
    widths = [max(map(cell_len, (*head, *(row[column] for row in rows)))) for column, head in enumerate(heads)]
    for_names = max(width - sum(widths[1:]) - len(COLUMNS) + 1, 12)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for column, head in enumerate(COLUMNS):
        table.add_column(Text(head), justify="left" if column < 2 else "right", no_wrap=True, vertical="bottom")
    for layer, (name, *cells) in zip(shown, rows, strict=True):
        style = "" if layer.parameters or layer.multiply_adds else "dim"
        table.add_row(*(Text(cell, style=style) for cell in (_shorten(name, for_names), *cells)))
    image = " x ".join(map(str, subject.shape))
    left_out = len(inspection.layers) - len(shown)
    return Group(
        Text.assemble((subject.title, "bold"), f", image {image}\n"),
        table,
        Text(""),
        _totals(inspection),
        Text("\n" + _legend(shown, left_out, for_names), style="dim"),
    )


def _cells(layer: Layer) -> tuple[str, ...]:
    window = layer.window
    return (
        layer.name or "(the network itself)",
        layer.kind,
        "x".join(map(str, layer.output)),
        *(_window(window) if window else ("", "", "")),
        f"{layer.parameters:,}" if layer.parameters else "",
        f"{layer.multiply_adds / 1e6:,.3f}" if layer.multiply_adds else "",
        _sees(layer),
    )


def _window(window: Window) -> tuple[str, str, str]:
    """Return kernel, stride and padding; one number if both axes are equal."""
    kernel = _axes(window.kernel)
    if set(window.dilation) != {1}:
        kernel += f" d{_axes(window.dilation)}"
    if window.transposed:
        kernel += " t"
    pads = [str(before) if before == after else f"{before}+{after}" for before, after in window.padding]
    return kernel, _axes(window.stride), _axes(pads)


def _axes(values: tuple[int, ...] | list[str]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _sees(layer: Layer) -> str:
    match layer.receptive_field:
        case None:
            return ""
        case "all":
            return "all"
        case field:
            return _axes(field)


def _shorten(name: str, length: int) -> str:
    """Leave out the middle of a name that is too long, and keep more of its end, which distinguishes it from others."""
    if len(name) <= length:
        return name
    tail = 2 * length // 3
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def _totals(inspection: Inspection) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    unused = f", {inspection.unused:,} not used here" if inspection.unused else ""
    size = decimal(inspection.parameter_bytes)
    table.add_row("parameters", f"{inspection.parameters:,}", f"{size}{unused}")
    table.add_row("trainable", f"{inspection.trainable:,}", "")
    table.add_row("mult-adds", f"{inspection.multiply_adds:,}", "for one image")
    table.add_row("activations", decimal(inspection.activation_bytes), "that the layers output for one image")
    return table


def _legend(shown: Sequence[Layer], left_out: int, for_names: int) -> str:
    windows = [layer.window for layer in shown if layer.window]
    told = ["sees: receptive field, the side of the square of pixels that a value depends on"]
    if any(layer.receptive_field == "all" for layer in shown):
        told.append("all: the whole image")
    if any(set(window.dilation) != {1} for window in windows):
        told.append("d2: dilation 2")
    if any(window.transposed for window in windows):
        told.append("t: transposed")
    if any(before != after for window in windows for before, after in window.padding):
        told.append("pad 0+1: none before, one after")
    if any(len(layer.name) > for_names for layer in shown):
        told.append("…: cut short; a wider terminal shows the whole name")
    if left_out:
        told.append(f"{left_out} layers that do nothing (Identity) are left out")
    return "; ".join(told)
