"""What `bench.numerics` times: networks, their inputs, and a training step of each in every setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from bench.images import write_photographs
from sightline.config.datasets import ImageFolder, Scenes
from sightline.config.models import Input
from sightline.config.optimizers import AdamW
from sightline.config.tasks import Task
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.labs.tuning.trial import Trial
from sightline.tasks import build
from sightline.training.datamodule import PreparedData
from sightline.training.speed_rule import Work
from sightline.training.work import count_work

Steps = dict[tuple[str, bool], Callable[[], object]]  # by precision, and whether channels-last


@dataclass(frozen=True)
class Case:
    """A network with its input.

    Attributes:
        name: in the table.
        task: section of params.yaml.
        inputs: size in pixels and samples per step, those that are timed.
        channels: of the input.
        data: `photographs` or `scenes`.
    """

    name: str
    task: dict[str, Any]
    inputs: tuple[tuple[int, int], ...]
    channels: int = 3
    data: str = "photographs"


def _classifier(architecture: str, *inputs: tuple[int, int], channels: int = 3, **more: Any) -> Case:
    name = architecture.rpartition(":")[2]
    return Case(name, {"kind": "classification", "architecture": architecture, **more}, inputs, channels)


_PYRAMID = {"strides": [4, 8, 16], "width": 64}
CASES = [
    _classifier("mlp", (28, 32), (28, 256), channels=1),
    _classifier("mlp", (28, 32), (28, 256), channels=1, hidden=[1024, 1024]),
    _classifier("lenet5", (28, 32), (28, 256), channels=1),
    _classifier("mnist_cnn", (28, 8), (28, 32), (28, 128), channels=1),
    _classifier("alexnet_small", (28, 32), channels=1),
    _classifier("timm:test_resnet", (32, 32), (96, 8)),
    _classifier("timm:resnet10t", (32, 16), (32, 64), (96, 16)),
    _classifier("timm:resnet18", (32, 32), (64, 8), (64, 32), (128, 16)),
    _classifier("timm:resnet50", (96, 8)),
    _classifier("timm:mobilenetv3_small_050", (32, 32), (96, 16)),
    _classifier("timm:mobilenetv3_small_100", (128, 16)),
    _classifier("timm:mobilenetv2_100", (64, 8), (128, 8), (160, 16)),
    _classifier("timm:efficientnet_lite0", (64, 8), (128, 8), (224, 4), (224, 16)),
    _classifier("timm:convnext_atto", (96, 8)),
    _classifier("timm:test_vit", (160, 8)),
    _classifier("timm:vit_tiny_patch16_224", (224, 2)),
    Case("conv_autoencoder", {"kind": "autoencoder"}, ((32, 32),)),
    Case("unet", {"kind": "semantic_segmentation", "depth": 2, "width": 16}, ((32, 8), (96, 8)), data="scenes"),
    Case(
        "semantic_fpn",
        {"kind": "semantic_segmentation", "architecture": "semantic_fpn", "backbone": "timm:test_resnet", **_PYRAMID},
        ((64, 8),),
        data="scenes",
    ),
    Case(
        "fcos",
        {"kind": "detection", "backbone": "timm:test_resnet", "head_convs": 2, **_PYRAMID},
        ((64, 8),),
        data="scenes",
    ),
    Case(
        "fcos over mobilenetv2_100",
        {"kind": "detection", "backbone": "timm:mobilenetv2_100", "strides": [8, 16, 32], "width": 128},
        ((128, 4),),
        data="scenes",
    ),
    Case(
        "faster_rcnn",
        {"kind": "detection", "architecture": "faster_rcnn", "backbone": "timm:test_resnet", **_PYRAMID},
        ((96, 4),),
        data="scenes",
    ),
]


def name_of(case: Case) -> str:
    """Return what a case is called in the table."""
    hidden = case.task.get("hidden")
    return f"{case.name} {'-'.join(map(str, hidden))}" if hidden else case.name


def prepared_images(folder: Path) -> dict[str, Path]:
    """Make the few images that steps are timed with."""
    write_photographs(folder / "raw", 96)
    datasets: dict[str, ImageFolder | Scenes] = {
        "photographs": ImageFolder(format="image_folder", root=str(folder / "raw")),
        "scenes": Scenes(format="scenes", root=str(folder / "scenes"), count=64, size=96),
    }
    for name, dataset in datasets.items():
        prepare(name, dataset, folder / "prepared" / name)
    return {name: folder / "prepared" / name for name in datasets}


def training_steps(case: Case, size: int, batch: int, prepared: Path) -> tuple[Work, Steps]:
    """Return what the network computes for one image, and a training step in each setting that makes a difference.

    Weights stay as they are: the rate of learning is 0.
    """
    torch.manual_seed(0)
    image = Input(size=size, channels=case.channels)  # type: ignore[arg-type]  # 1 or 3
    section: Any = TypeAdapter(Task).validate_python(case.task)
    task = build(section, image, load_labels(prepared), train=SplitStore(prepared / "train"))
    work = count_work(task, size, case.channels)
    data = PreparedData(
        prepared,
        task.targets,
        size=size,
        channels=case.channels,
        resize="letterbox",
        augment="none",
        batch_size=batch,
        num_workers=0,
        seed=0,
    ).data["train"]
    images = data.__getitems__([(0, index % len(data)) for index in range(batch)])
    steps: Steps = {}
    for last in (False, True) if work.dense + work.depthwise else (False,):
        trial = Trial(task, torch.device("cpu"), last, AdamW(name="adamw", lr=1e-3))
        trial.set_rate(0.0)
        steps["32", last] = partial(trial.step, [images], "32")
        steps["bf16", last] = partial(trial.step, [images], "bf16")
    return work, steps
