"""Real photographs with 80 classes: all of COCO128 is read, and Mask R-CNN learns eight of them by heart."""

from pathlib import Path

import pytest
import torch
from dvc_project import ROOT
from torch import nn

from sightline.config.dataset_section import Split
from sightline.config.datasets import Coco
from sightline.config.models import Input
from sightline.config.tasks import InstanceSegmentation
from sightline.data.images import place
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.tasks import build
from sightline.tasks.base import Task
from sightline.training.datamodule import PreparedData
from sightline.training.truth import truth_of

DATA = ROOT.parent / "shared/data"
SIZE, BATCH, STEPS = 257, 4, 340
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder of real data beside the project"),
]


def test_mask_rcnn_learns_eight_photographs_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = tmp_path / "prepared"
    values = {"annotations": "annotations/instances_train2017.json", "images": "train2017"}
    split = Split(train=0.8, val=0.1, test=0.1)
    card = prepare("coco128", Coco(format="coco", root=str(DATA / "coco128"), split=split, **values), prepared)
    assert (sum(card.samples.values()), card.quarantined) == (128, 0)

    torch.manual_seed(0)
    config = InstanceSegmentation(
        kind="instance_segmentation", backbone="torchvision:mobilenet_v2", strides=[4, 8, 16, 32], anchor_scale=6
    )
    store, weights = SplitStore(prepared / "train"), DATA / "weights/mobilenet_v2_tf2_ptq_deq.pth"
    task = build(config, Input(size=SIZE), load_labels(prepared), weights, store)
    data = PreparedData(
        prepared,
        task.targets,
        size=SIZE,
        channels=3,
        resize="letterbox",
        augment="none",
        batch_size=BATCH,
        num_workers=0,
        seed=0,
    )
    eight = [index for index, own in enumerate(store.column("box_labels")) if own and 2 <= len(own) <= 8][:8]
    learn(task, data, eight)

    batch = data.data["train"].__getitems__([(0, index) for index in eight])
    truth = truth_of(store, task).iloc[eight]
    places = [place(row.height, row.width, SIZE, "letterbox") for row in truth.itertuples()]
    with torch.inference_mode():
        said = task.eval().predictions(task(batch.images), places)
    measured = task.measure(iter(said), truth, bins=15)
    assert measured.values["mask_mAP50"] >= 0.9, measured.values


def learn(task: Task, data: PreparedData, indices: list[int]) -> None:
    optimizer = torch.optim.AdamW(task.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, STEPS)
    task.train()
    for layer in task.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()  # the file's normalisation is folded into its convolutions
    for step in range(STEPS):
        drawn = indices[step % 2 :: 2]
        batch = data.data["train"].__getitems__([(0, index) for index in drawn])
        loss = task.training_loss(batch.images, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
