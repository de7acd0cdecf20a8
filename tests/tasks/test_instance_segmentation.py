"""Mask R-CNN: its masks against known shapes, then all from training to evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks.instance_segmentation import InstanceSegmentation as Config
from sightline.data.encoding import decode_rle, encode_rle
from sightline.data.images import place
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap
from sightline.evaluation.evaluate import evaluate_model
from sightline.models.detect.detections import masks_into_original
from sightline.models.detect.second_stage import masked_losses
from sightline.system.errors import UserError
from sightline.tasks.instance_segmentation import InstanceSegmentation, build_instance_segmentation
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.detection import truths_of
from sightline.tasks.metrics.matching import match
from sightline.training.fit import train

LABELS = LabelMap(("a", "b"), ("a", "b"))
SMALL: dict[str, Any] = {
    "kind": "instance_segmentation",
    "backbone": "timm:test_resnet",
    "strides": [8, 16],
    "width": 32,
    "head_convs": 1,
    "proposals": 20,
}


def task(size: int = 64) -> InstanceSegmentation:
    torch.manual_seed(0)
    config = TypeAdapter(Config).validate_python(SMALL)
    return build_instance_segmentation(config, Input(size=size), LABELS, "random", None)


def batch(size: int) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """Return two images, of which the second has no objects."""
    mask = torch.zeros(1, size, size, dtype=torch.uint8)
    mask[:, 8:40, 8:30] = 1
    return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8), {
        "boxes": [torch.tensor([[8.0, 8, 30, 40]]), torch.zeros(0, 4)],
        "box_labels": [torch.tensor([1]), torch.zeros(0, dtype=torch.int64)],
        "instances": [mask, torch.zeros(0, size, size, dtype=torch.uint8)],
    }


def test_the_loss_reaches_every_weight() -> None:
    own = task()
    loss = own.training_loss(*batch(64))
    loss.backward()
    assert torch.isfinite(loss)
    assert not [name for name, weight in own.network.named_parameters() if weight.grad is None]


def test_losses_are_those_of_torchvision_where_every_object_has_a_mask() -> None:
    own = task()
    images, targets = batch(64)
    heads = own.network.head.roi_heads.train()
    with torch.no_grad():
        _, maps = own.network._inputs(own.network.train()(images.permute(0, 3, 1, 2).float() / 255))
    told = [
        {"boxes": boxes, "labels": labels + 1, "masks": masks}
        for boxes, labels, masks in zip(*targets.values(), strict=True)
    ]
    proposals, sizes = [torch.rand(20, 4).cumsum(1) * 20 for _ in range(2)], [(64, 64)] * 2
    torch.manual_seed(1)
    _, wanted = heads(maps, proposals, sizes, told)
    torch.manual_seed(1)
    found = masked_losses(heads, maps, proposals, sizes, told)
    assert found.keys() == wanted.keys()
    for name, loss in wanted.items():
        torch.testing.assert_close(found[name], loss)


def test_an_object_with_a_box_alone_teaches_no_mask() -> None:
    own = task()
    images, targets = batch(64)
    targets["instances"][0].zero_()
    loss = own.training_loss(images, targets)
    loss.backward()
    heads = own.network.head.roi_heads
    assert torch.isfinite(loss)
    assert not any(weight.grad is not None and weight.grad.any() for weight in heads.mask_predictor.parameters())
    assert any(weight.grad is not None and weight.grad.any() for weight in heads.box_predictor.parameters())


def test_a_mask_found_where_only_a_box_is_known_is_neither_right_nor_wrong() -> None:
    def full(left: int, right: int) -> dict[str, Any]:
        mask = np.zeros((40, 40), bool)
        mask[4:30, left:right] = True
        return encode_rle(mask)

    nothing = encode_rle(np.zeros((40, 40), bool))
    truth = pd.DataFrame(
        {"box_labels": [[0, 0]], "boxes": [[[2, 4, 18, 30], [22, 4, 38, 30]]], "area": [[416.0, 416.0]]}
    )
    truth["instances"] = [[full(2, 18), nothing]]
    (one,) = truths_of(truth, "instances")
    found = match([full(2, 18), full(23, 37)], np.array([0, 0]), np.array([0.8, 0.9], np.float32), one, 1)
    assert found.found[0, 0].tolist() == [False, True]  # the surer one first
    assert found.ignored[0, 0].tolist() == [True, False]
    assert found.truths[0].sum() == 1


@pytest.mark.parametrize("chosen", [[0, 1], [0], [1]])
def test_half_precision_odd_sizes_single_and_empty_images(chosen: list[int]) -> None:
    own = task(97).eval()
    images, targets = batch(97)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        outputs = own(images[chosen])
        loss = own.loss(outputs, {name: [values[n] for n in chosen] for name, values in targets.items()})
        said = own.predictions(outputs, [place(60, 97, 97, "letterbox")] * len(chosen))
    assert torch.isfinite(loss)
    assert loss.dtype == torch.float32
    for one in said:
        assert one.boxes is not None
        assert one.instances is not None
        assert len(one.instances) == len(one.boxes) > 0
        assert all(mask["size"] == [60, 97] for mask in one.instances)
        assert one.boxes[:, 1::2].max() <= 60


def test_the_shape_of_a_mask_is_learned() -> None:
    own = task()
    images, targets = batch(64)
    images, targets = images[:1], {name: values[:1] for name, values in targets.items()}
    targets["instances"][0][:, 24:40, 8:19] = 0  # the lower left quarter of the box
    optimizer = torch.optim.Adam(own.parameters(), 2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        own.training_loss(images, targets).backward()
        optimizer.step()
    with torch.no_grad():
        [said] = own.eval().predictions(own(images), [place(64, 64, 64, "letterbox")])
    truth = pd.DataFrame(
        {
            "id": ["x"],
            "source": ["x.png"],
            "boxes": [targets["boxes"][0].tolist()],
            "box_labels": [[1]],
            "instances": [[encode_rle(targets["instances"][0][0].numpy())]],
        }
    )
    measured = own.measure(iter([said]), truth, bins=15)
    assert measured.values["mask_mAP50"] == measured.values["box_mAP50"] == 1
    assert measured.values["mask_mAP75"] == 1, "a whole box would overlap by three quarters at most"
    assert measured.rows["score"].tolist() == [1.0]


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_masks_lie_where_their_boxes_do(shift: float) -> None:
    placement = place(100, 200, 64, "letterbox")
    box = placement.into_input(np.array([[40 + shift, 10, 80 + shift, 50]], np.float32))
    mask = np.zeros((1, 28, 28), np.float32)
    mask[:, :14] = 1  # the upper half
    [drawn] = masks_into_original(mask, box, placement)
    expected = np.zeros((100, 200), bool)
    expected[10:30, 40:80] = True
    np.testing.assert_array_equal(decode_rle(drawn), expected)


def test_masks_are_cut_at_the_edge_of_the_original() -> None:
    placement = place(50, 100, 100, "letterbox")
    drawn = masks_into_original(
        np.ones((2, 28, 28), np.float32), np.array([[-20, 0, 20, 100], [0, 0, 9, 9]]), placement
    )
    assert decode_rle(drawn[0]).sum() == 20 * 50
    assert decode_rle(drawn[1]).sum() == 0, "in the padding"


class Told(nn.Module):
    """A network that says what it is told."""

    def detections(self, _: Any) -> list[dict[str, Tensor]]:
        return [
            {
                "boxes": torch.tensor([[0.0, 0, 32, 32], [32.0, 0, 64, 32]]),
                "labels": torch.tensor([0, 1]),
                "scores": torch.tensor([0.9, 0.8]),
                "masks": torch.stack([torch.ones(28, 28), torch.zeros(28, 28)]),
            }
        ]


def test_boxes_and_masks_are_measured_apart() -> None:
    own = InstanceSegmentation(Told(), LABELS, [0.5], [0.5])  # type: ignore[arg-type]
    [said] = own.predictions({}, [place(64, 64, 64, "letterbox")])
    whole = np.zeros((2, 64, 64), bool)
    whole[0, :32, :32], whole[1, :32, 32:] = True, True
    truth = pd.DataFrame(
        {
            "id": ["x"],
            "source": ["x.png"],
            "boxes": [[[0, 0, 32, 32], [32, 0, 64, 32]]],
            "box_labels": [[0, 1]],
            "instances": [[encode_rle(mask) for mask in whole]],
        }
    )
    measured = own.measure(iter([said]), truth, bins=15)
    assert measured.headline == "mask_mAP50"
    assert measured.values["box_mAP50"] == 1
    assert measured.values["mask_mAP50"] == 0.5, "the second mask is empty"
    assert measured.rows["score"].tolist() == pytest.approx([2 / 3])
    drawn = resampled("instance_segmentation", measured.rows, np.ones((1, 1), np.float32), own.labels)
    assert {name: values.tolist() for name, values in drawn.items()} == {
        "mask_mAP50": [0.5],
        "mask_mAP": [0.5],
        "box_mAP50": [1.0],
        "box_mAP": [1.0],
    }
    assert measured.tables["per_class"]["AP50"].tolist() == [1.0, 0.0]
    assert measured.tables["per_class"]["box_AP50"].tolist() == [1.0, 1.0]


def test_data_without_masks_is_refused(digits: Path) -> None:
    config = TypeAdapter(Config).validate_python(SMALL)
    with pytest.raises(UserError, match="no sample has a mask"):
        build_instance_segmentation(config, Input(size=64), LABELS, "random", SplitStore(digits / "train"))


def test_from_training_to_evaluation(scenes: Path, tmp_path: Path) -> None:
    settings = Model.model_validate(
        {
            "dataset": "scenes",
            "task": SMALL,
            "weights": "random",
            "input": {"size": 64},
            "augment": "light",
            "optimizer": {"name": "adamw", "lr": 2e-3},
            "trainer": {"max_epochs": 1, "batch_size": 8},
        }
    )
    fitted = train(settings, 1, scenes, tmp_path / "model", resume_root=tmp_path / "resume")
    assert {"train_loss", "val_loss", "val_found"} <= set(fitted.curves[0])
    metrics = evaluate_model(tmp_path / "model", scenes, Evaluation(resamples=100), tmp_path)
    assert metrics["headline"]["name"] == "mask_mAP50"
    assert {"mask_mAP50", "mask_mAP", "box_mAP50", "box_mAP"} <= set(metrics["interval"])
