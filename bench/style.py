"""Style in one pass and photorealistic style, each against the optimisation of pixels.

`python -m bench.style network --photographs DIR --paintings DIR --weights FILE --to DIR` trains a style network for the
paintings and one that is made here, and compares its pictures and times with the optimisation's. `python -m bench.style
lines --paintings DIR --weights FILE --to DIR` counts the straight lines of a photograph that are straight after a plain
and after a photorealistic transfer (`bench.straightness`). Results go to bench/results/style_*.json; docs/style.md
tells them.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.datasets import load_sample_image

from bench.straightness import found_again, measure, wanted_lines
from sightline.config.models import Model
from sightline.config.styles import Style
from sightline.data.images import decode, fit
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8
from sightline.evaluation.predictor import Predictor, load_predictor
from sightline.evaluation.report.figures import save_figure
from sightline.evaluation.report.styles import styles_page
from sightline.labs.stylize.jobs import make_styled
from sightline.labs.stylize.networks import library_backbone
from sightline.labs.stylize.pictures import read_picture, to_pixels, write_picture
from sightline.labs.stylize.transfer import StyleTransfer, minimise
from sightline.models.style.layers import with_average_pooling
from sightline.operations.api import prepare
from sightline.pipeline.process import set_up_process
from sightline.system.files import write_json
from sightline.tasks.style_network import StyleNetwork
from sightline.training.fit import train

RESULTS = Path(__file__).parent / "results"
NETWORK = "torchvision:squeezenet1_0"
_SEED = 7


def mosaic(side: int = 256, cells: int = 90) -> UINT8:
    """Return a picture of coloured glass: cells around random points, with dark lead between them."""
    random = np.random.default_rng(_SEED)
    points, colours = random.uniform(0, side, (cells, 2)), random.integers(30, 256, (cells, 3))
    rows, columns = np.mgrid[:side, :side]
    places = np.stack([rows, columns], -1)[:, :, None]
    away = np.sqrt(((places - points) ** 2).sum(-1))
    nearest = np.sort(away, 2)
    glass = colours[away.argmin(2)] * np.where(nearest[..., 1:2] - nearest[..., :1] < 3, 0.1, 1.0)
    pixels: UINT8 = glass.round().astype(np.uint8)
    return pixels


@dataclass(frozen=True)
class Work:
    """What `network` was asked for."""

    photographs: Path
    paintings: Path
    weights: Path
    to: Path
    size: int
    epochs: int
    batch: int
    lr: float
    steps: int
    compared: int


def network(work: Work) -> dict[str, Any]:
    """Train, compare, draw; return the figures."""
    paintings = work.to / "paintings"
    paintings.mkdir(parents=True, exist_ok=True)
    for path in sorted(work.paintings.glob("*.jpg"))[:3]:
        shutil.copyfile(path, paintings / path.name)
    write_picture(mosaic(), paintings / "mosaic.png")
    split = {"train": 0.6, "val": 0.02, "test": 0.38}  # as many as the minutes allow
    prepare(work.photographs, work.to / "prepared", split=split)
    began = time.process_time()
    model = section(work, paintings)
    fitted = train(model, _SEED, work.to / "prepared", work.to / "model", weights_folder=work.weights.parent)
    seconds = time.process_time() - began
    predictor = load_predictor(work.to / "model")
    task = load_predictor(work.to / "model", engine="torch").task
    assert isinstance(task, StyleNetwork)
    figure = styles_page(work.to / "prepared", task.styles, predictor.predictions)
    save_figure(figure, work.to / "grid.png")
    return {
        "size": work.size,
        "threads": torch.get_num_threads(),
        "training": {
            "cpu_seconds": round(seconds),
            "photographs": len(SplitStore(work.to / "prepared/train")),
            "epochs": work.epochs,
            "pictures_per_step": work.batch * len(task.styles),
            "curves": fitted.curves,
        },
        **compared(work, predictor, task, paintings),
    }


def section(work: Work, paintings: Path) -> Model:
    """Return the model's section."""
    return Model.model_validate(
        {
            "dataset": "photographs",
            "task": {
                "kind": "style_network",
                "paintings": str(paintings),
                "styles": [path.name for path in sorted(paintings.iterdir())],
                "loss_network_weights": work.weights.name,
            },
            "input": {"size": work.size, "channels": 3, "resize": "stretch"},
            "augment": "none",
            "optimizer": {"name": "adam", "lr": work.lr},
            "schedule": {"name": "one_cycle"},
            "trainer": {"max_epochs": work.epochs, "batch_size": work.batch, "threads": 1, "keep": "last"},
        }
    )


def compared(work: Work, predictor: Predictor, task: StyleNetwork, paintings: Path) -> dict[str, Any]:
    """Draw some test photographs by network and by optimisation; return times and distances of both."""
    store = SplitStore(work.to / "prepared/test")
    targets = [read_picture(path, work.size) for path in sorted(paintings.iterdir())]
    found: dict[str, list[list[float]]] = {"network": [], "optimisation": []}
    rows = []
    for number in range(work.compared):
        encoded = bytes(store.image(number * len(store) // work.compared))
        photograph = fit(decode(encoded, 3), work.size, "stretch")
        began = time.perf_counter()
        drawn = predictor.outputs(photograph[None])["pictures"][0]
        found["network"].append([(time.perf_counter() - began) / len(task.styles), *apart(task, drawn, photograph)])
        began = time.perf_counter()
        slow = torch.cat([optimised(work, task, photograph, target) for target in targets])
        seconds = (time.perf_counter() - began) / len(task.styles)
        found["optimisation"].append([seconds, *apart(task, slow, photograph)])
        rows += [[photograph, *(to_pixels(one[None]) for one in pictures)] for pictures in (drawn, slow)]
    write_picture(np.concatenate([np.concatenate(row, 1) for row in rows]), work.to / "compared.png")
    names = ("seconds", "content", "style")
    means = {way: dict(zip(names, np.mean(own, 0).tolist(), strict=True)) for way, own in found.items()}
    ratios = {name: means["network"][name] / means["optimisation"][name] for name in names[1:]}
    ratios["total"] = total(task, means["network"]) / total(task, means["optimisation"])
    faster = means["optimisation"]["seconds"] / means["network"]["seconds"]
    return {"steps": work.steps, "compared": work.compared, **means, "times_faster": faster, "ratio": ratios}


def total(task: StyleNetwork, means: dict[str, float]) -> float:
    """Return the weighted loss of content and style."""
    return task.factors[0] * means["content"] + task.factors[1] * means["style"]


def apart(task: StyleNetwork, pictures: torch.Tensor, photograph: UINT8) -> list[float]:
    """Return mean distances of content and style of the pictures of a photograph, one for each style."""
    with torch.inference_mode():
        content, style = task.judge.distances(pictures, tensor(photograph), task.pure)
    return [float(content.mean()), float(style.mean())]


def optimised(work: Work, task: StyleNetwork, photograph: UINT8, painting: torch.Tensor) -> torch.Tensor:
    """Return the picture that the optimisation of pixels finds, with the layers and weights of the style network."""
    backbone = library_backbone(NETWORK, work.weights)
    with_average_pooling(backbone.network)
    content, style, tv = task.factors
    transfer = StyleTransfer(
        backbone,
        tensor(photograph),
        [painting],
        [1.0],
        task.judge.content_layers,
        task.judge.style_layers,
        content_weight=content,
        style_weight=style,
        tv_weight=tv,
    )
    start = transfer.start("content", 0)
    return transfer.picture(minimise(transfer, start, work.steps, "lbfgs", 0.03, lambda *_: None))


def tensor(pixels: UINT8) -> torch.Tensor:
    """H x W x 3 uint8 -> 1 x 3 x H x W in 0..1."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float() / 255


def lines(paintings: Path, weights: Path, to: Path, size: int, steps: int, weight: float) -> dict[str, Any]:
    """Transfer a painting's style to a photograph of a building both ways; return the share of lines found again."""
    to.mkdir(parents=True, exist_ok=True)
    write_picture(load_sample_image("china.jpg"), to / "china.png")
    style = sorted(paintings.glob("*.jpg"))[0]
    photograph = to_pixels(read_picture(to / "china.png", size))
    wanted = wanted_lines(photograph)
    shares, pictures = {}, [photograph]
    for name, photorealism in (("plain", 0.0), ("photorealistic", weight)):
        section = Style(
            content=str(to / "china.png"),
            style=str(style),
            architecture=NETWORK,
            weights=weights.name,
            size=size,
            steps=steps,
            photorealism=photorealism,
        )
        began = time.process_time()
        made = make_styled(section, _SEED, to / name, weights.parent)
        picture = to_pixels(read_picture(made.folder / "result.png", size))
        seconds = time.process_time() - began
        along = measure(wanted, picture)
        shares[name] = {
            "straight": sum(one.kept for one in along),
            "bend": float(np.nanmedian([one.bend for one in along])),
            "found_by_hough": found_again(wanted, picture),
            "cpu_seconds": seconds,
            "losses": dict(made.numbers),
        }
        pictures.append(picture)
    write_picture(np.concatenate(pictures, 1), to / "lines.png")
    return {"style": style.name, "size": size, "steps": steps, "weight": weight, "lines": len(wanted), **shares}


def main(words: Sequence[str] | None = None) -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, size, steps in (("network", 128, 100), ("lines", 384, 60)):
        one = commands.add_parser(name)
        for option in ("--paintings", "--weights", "--to"):
            one.add_argument(option, type=Path, required=True)
        one.add_argument("--size", type=int, default=size, help="pixels")
        one.add_argument("--steps", type=int, default=steps, help="of the optimisation")
        one.add_argument("--out", type=Path, default=RESULTS / f"style_{name}.json")
        if name == "lines":
            one.add_argument("--weight", type=float, default=1e5, help="of photorealism")
            continue
        one.add_argument("--photographs", type=Path, required=True, help="a folder of folders")
        one.add_argument("--epochs", type=int, default=1)
        one.add_argument("--batch", type=int, default=1, help="photographs per step, each in every style")
        one.add_argument("--lr", type=float, default=3e-3)
        one.add_argument("--compared", type=int, default=3, help="photographs that are drawn both ways")
    given = vars(parser.parse_args(words))
    command, out = given.pop("command"), given.pop("out")
    set_up_process()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # with more, OpenCV finds other edges
    found = lines(**given) if command == "lines" else network(Work(**given))
    write_json(out, found)
    print(out.read_text())


if __name__ == "__main__":
    main()
