"""Every kind of task on a GPU, in minutes: `make gpu-check`, or `python -m bench.gpu`.

Each is trained in bf16 for an epoch, interrupted, taken up again for a second one, evaluated on the device, exported,
and compared with itself on the CPU. The table, headed by the card's name, is printed and written to --out; a failure is
a line in it, and exit code 1. `--device cpu` tries the script itself where there is no GPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sklearn.datasets
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from sightline.config.datasets import Digits, Figures, Scenes, Strings
from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.cache import decoded
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.parity import is_same
from sightline.evaluation.predictor import load_predictor
from sightline.pipeline.process import set_up_process
from sightline.system.device import VARIABLE
from sightline.system.files import new_file
from sightline.training.fit import train

_EMBEDDED = "data/embedded"
_COMPARED = 32  # test images that both devices predict
_MIB = 2**20
_PYRAMID = {"strides": [4, 8, 16], "width": 64}
_BODIES = {"cuda": "timm:resnet18", "cpu": "timm:test_resnet"}
COLUMNS = ("task", "training images/s", "peak MiB", "resumed", "test metric", "ONNX", "same as on the CPU")


def tasks(device: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the data set and the section `task` of each entry, by name."""
    body = {"backbone": _BODIES[device]}
    detector = {**body, **_PYRAMID}
    return {
        "classification": ("digits", {"kind": "classification", "architecture": "mnist_cnn"}),
        "multilabel": ("scenes", {"kind": "multilabel", "architecture": body["backbone"]}),
        "regression": ("scenes", {"kind": "regression", "architecture": body["backbone"]}),
        "localization": ("scenes", {"kind": "localization", "architecture": body["backbone"]}),
        "unet": ("scenes", {"kind": "semantic_segmentation", "depth": 3, "loss": "cross_entropy_dice"}),
        "semantic_fpn": (
            "scenes",
            {"kind": "semantic_segmentation", "architecture": "semantic_fpn", "loss": "focal", **detector},
        ),
        "autoencoder": ("digits", {"kind": "autoencoder"}),
        "style_network": (
            "scenes",
            {
                "kind": "style_network",
                "paintings": str(Path(sklearn.datasets.__file__).with_name("images")),
                "styles": ["china.jpg", "flower.jpg"],
                "loss_network_weights": "random",
            },
        ),
        "keypoints": ("figures", {"kind": "keypoints", "width": 64, **body}),
        "fcos": ("scenes", {"kind": "detection", **detector}),
        "oriented": ("turned", {"kind": "detection", "boxes": "oriented", **detector}),
        "retinanet": ("scenes", {"kind": "detection", "architecture": "retinanet", **detector}),
        "faster_rcnn": ("scenes", {"kind": "detection", "architecture": "faster_rcnn", **detector}),
        "sliding_window": (
            "scenes",
            {"kind": "sliding_window", "architecture": "mnist_cnn", "window": 32, "stride": 8},
        ),
        "mask_rcnn": ("scenes", {"kind": "instance_segmentation", **detector}),
        "text_recognition": ("strings", {"kind": "text_recognition"}),
    }


def settings(dataset: str, task: dict[str, Any], device: str, batch_size: int) -> Model:
    """Return a model's configuration."""
    size, channels = (32, 1) if dataset == "digits" else (96, 3)
    return Model.model_validate(
        {
            "dataset": dataset,
            "task": task,
            "weights": "random",
            "augment": "light",
            "input": {"size": size, "channels": channels},
            "optimizer": {"name": "adamw", "lr": 1e-3},
            "trainer": {
                "max_epochs": 2,
                "batch_size": batch_size,
                "precision": "bf16" if device == "cuda" else "32",  # which few processors are fast in
                "clip_norm": 1.0,
                "keep": "last",
                "accelerator": "gpu" if device == "cuda" else "cpu",
                "devices": 1,
            },
        }
    )


class _Interrupted(Exception):  # noqa: N818 - no error: it stands for a killed process
    pass


class _Watch(Callback):
    """Times the last epoch, and ends the training before an epoch that it is told."""

    def __init__(self, device: str, stop_before: int | None = None) -> None:
        self.device, self.stop_before = device, stop_before
        self.started = self.seconds = 0.0
        self.epochs: list[int] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, or start the clock."""
        if trainer.current_epoch == self.stop_before:
            raise _Interrupted
        self.epochs.append(trainer.current_epoch)
        self.started = self._now()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation comes between the last batch and this hook, and is part of the time."""
        self.seconds = self._now() - self.started

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


@dataclass(frozen=True)
class Row:
    """What came of one entry; `faults` is empty where all is well."""

    cells: tuple[str, ...]
    faults: tuple[str, ...]


def check(name: str, model: Model, prepared: Path, folder: Path, device: str) -> Row:
    """Train, interrupt, resume, evaluate and compare one model."""
    folder.mkdir()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    paths = {"prepared": prepared, "output": folder / "model", "resume_root": folder / "resume"}
    first, second = _Watch(device, stop_before=1), _Watch(device)
    with suppress(_Interrupted):
        train(model, 0, callbacks=[first], **paths)  # type: ignore[arg-type]
    train(model, 0, callbacks=[second], **paths)  # type: ignore[arg-type]
    peak = f"{torch.cuda.max_memory_allocated() / _MIB:,.0f}" if device == "cuda" else "-"
    resumed = first.epochs == [0] and second.epochs == [1]
    metrics = evaluate_model(folder / "model", prepared, Evaluation(resamples=100), folder)
    onnx, headline = metrics.get("onnx"), metrics["headline"]
    same = _same_as_on_the_cpu(folder / "model", prepared, device)
    faults = [
        *([] if resumed else ["did not go on after its first epoch"]),
        *([] if onnx is None or onnx["agrees"] else [f"the exported network differs: {onnx}"]),
        *([] if same >= 1 - 2 / _COMPARED else [f"predicts {same:.0%} of the images as on the CPU"]),
    ]
    speed = len(SplitStore(prepared / "train")) / second.seconds
    exported = "none" if onnx is None else "agrees" if onnx["agrees"] else "DIFFERS"
    told = f"{headline['name']} {headline['value']:.3f}"
    return Row((name, f"{speed:,.0f}", peak, "yes" if resumed else "NO", told, exported, f"{same:.0%}"), tuple(faults))


def _same_as_on_the_cpu(model: Path, prepared: Path, device: str) -> float:
    """Return the share of test images for which both devices predict the same, as `parity` defines it."""
    store = SplitStore(prepared / "test")
    here, there = (load_predictor(model, own, engine="torch") for own in ("cpu", device))
    image = here.card.input
    images = [store.image(number) for number in range(min(_COMPARED, len(store)))]
    pixels, placements = decoded(images, image.size, image.channels, image.resize, image.interpolation)
    pairs = zip(here.predict_pixels(pixels, placements), there.predict_pixels(pixels, placements), strict=True)
    return sum(is_same(one, other) for one, other in pairs) / len(images)


def failed(name: str, error: Exception) -> Row:
    """Return the row of an entry that ended early."""
    told = (str(error).splitlines() or [""])[0]
    return Row((name, *["-"] * (len(COLUMNS) - 2), "FAILED"), (f"{type(error).__name__}: {told}",))


def table(rows: list[Row], device: str, seconds: float) -> str:
    """Lay the rows out as Markdown."""
    card = torch.cuda.get_device_name() if device == "cuda" else f"no GPU, {platform.machine()} processor"
    lines = [f"{card}, torch {torch.__version__}, {seconds:.0f} s in all:", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(row.cells)} |" for row in rows]
    lines += ["", *(f"{row.cells[0]}: {fault}" for row in rows for fault in row.faults)]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run all; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--count", type=int, help="scenes, and figures; 800 on a GPU, 60 on the CPU")
    parser.add_argument("--only", nargs="+", help="names of entries")
    parser.add_argument("--out", type=Path, default=Path("reports/gpu-check.md"))
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here; --device cpu tries the script itself")
    set_up_process()
    os.environ[VARIABLE] = asked.device  # of evaluation
    count = asked.count or (800 if asked.device == "cuda" else 60)
    batch_size = 32 if asked.device == "cuda" else 8
    chosen = {name: own for name, own in tasks(asked.device).items() if asked.only is None or name in asked.only}
    started, rows = time.perf_counter(), list[Row]()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        sections: dict[str, Digits | Scenes | Figures | Strings] = {
            "digits": Digits(format="digits", root=_EMBEDDED),
            "scenes": Scenes(format="scenes", root=_EMBEDDED, count=count, size=96),
            "turned": Scenes(format="scenes", root=_EMBEDDED, count=count, size=96, turn=180),
            "figures": Figures(format="figures", root=_EMBEDDED, count=count, size=96),
            "strings": Strings(format="strings", root=_EMBEDDED, count=count),
        }
        for dataset in {own for own, _ in chosen.values()}:
            prepare(dataset, sections[dataset], root / dataset)
        for name, (dataset, task) in chosen.items():
            model = settings(dataset, task, asked.device, batch_size)
            try:
                row = check(name, model, root / dataset, root / name, asked.device)
            except Exception as error:  # the others are still worth a row
                row = failed(name, error)
            rows.append(row)
            print(f"{' · '.join(row.cells)}{''.join(f' · {fault}' for fault in row.faults)}", flush=True)
    told = table(rows, asked.device, time.perf_counter() - started)
    with new_file(asked.out) as work:
        work.write_text(told)
    print(f"\n{told}\nwritten to {asked.out}")
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
