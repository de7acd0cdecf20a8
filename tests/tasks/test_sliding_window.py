"""Sliding windows: the grid, what the classifier sees, what it learns from, detection with any classifier."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import box_iou

from sightline.config.evaluation import Evaluation
from sightline.config.models import Input, Model
from sightline.config.tasks.sliding_window import SlidingWindow as Config
from sightline.data.images import place
from sightline.data.store import load_labels
from sightline.data.structures import LabelMap
from sightline.evaluation.evaluate import evaluate_model
from sightline.models.detect.sliding_window import WindowGrid, choose_windows, detect, window_scores
from sightline.models.detect.window_network import WindowNetwork, add_background, hardest_loss, label_windows, squares
from sightline.models.weights import read_weights
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.tasks.sliding_window import SlidingWindow
from sightline.training.fit import train

LABELS = LabelMap(("cat", "dog"), ("1", "2"))
GRID = WindowGrid(16, 6, [1.0, 1.5, 0.5])


def test_the_grid_equals_a_slow_loop() -> None:
    expected = []
    for scale in (1.0, 1.5, 0.5):
        height, width = round(33 * scale), round(50 * scale)
        for top in range(0, height - 16 + 1, 6):
            for left in range(0, width - 16 + 1, 6):
                x, y = 50 / width, 33 / height
                expected.append([left * x, top * y, (left + 16) * x, (top + 16) * y])
    torch.testing.assert_close(GRID.boxes(33, 50), torch.tensor(expected))


def test_sizes_follow_the_step_and_leave_out_what_is_too_small() -> None:
    assert WindowGrid(16, 6, None, 0.5).sizes(64, 100) == [(64, 100), (32, 50), (16, 25)]
    assert WindowGrid(16, 6, [1.0, 0.2]).sizes(64, 100) == [(64, 100)]
    with pytest.raises(UserError, match=r"task\.window: 16: larger than the image, 15 x 40 px"):
        WindowGrid(16, 6).sizes(15, 40)


def test_windows_of_the_grid_and_drawn_ones_show_the_same_pixels() -> None:
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    network = WindowNetwork(nn.Flatten(), GRID, 40)
    scores = network(images)
    assert scores.shape == (2, len(network.boxes), 3 * 16 * 16)
    torch.testing.assert_close(scores[1, 0].view(3, 16, 16), images[1, :, :16, :16])
    seen = network.look(images, [network.boxes, network.boxes])
    torch.testing.assert_close(seen.view_as(scores), scores, atol=1e-5, rtol=1e-4)


def test_drawn_windows_are_squares_within_the_image_and_labelled() -> None:
    network = WindowNetwork(nn.Flatten(), GRID, 40)
    boxes = torch.tensor([[0.0, 5, 8, 25], [22, 22, 40, 40]])
    torch.manual_seed(3)
    windows, labels = network.draw_windows([boxes, boxes[:0]], [torch.tensor([1, 0]), torch.zeros(0).long()], 2)
    every = torch.cat(windows)
    sides = every[:, 2:] - every[:, :2]
    torch.testing.assert_close(sides[:, 0], sides[:, 1])
    assert (every >= -1e-4).all()
    assert (every <= 40 + 1e-4).all()
    assert labels[:6].tolist() == [1, 1, 1, 0, 0, 0]
    assert (labels[-len(windows[1]) :] == 2).all(), "without objects all is background"
    near = box_iou(every[:6], squares(boxes)).amax(1)
    assert (near > 0.4).all()
    assert near.max() < 1
    torch.manual_seed(3)
    again, _ = network.draw_windows([boxes, boxes[:0]], [torch.tensor([1, 0]), torch.zeros(0).long()], 2)
    assert torch.equal(torch.cat(again), every)


def test_labels_follow_the_squares_around_objects() -> None:
    boxes = torch.tensor([[10.0, 10, 14, 30]])  # a narrow one: its square is 2, 10, 22, 30
    windows = torch.tensor([[2.0, 10, 22, 30], [10, 10, 30, 30], [14, 10, 34, 30], [30, 30, 50, 50]])
    torch.testing.assert_close(squares(boxes), windows[:1])
    assert label_windows(windows, boxes, torch.tensor([1]), 2).tolist() == [1, -1, 2, 2]  # overlaps 1, 3/7, 1/4, 0
    assert label_windows(windows, boxes[:0], torch.zeros(0).long(), 2).tolist() == [2, 2, 2, 2]


def test_the_loss_takes_the_hardest_background() -> None:
    scores = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, -1] + [2] * 47)
    losses = [-float(F.log_softmax(own, 0)[label]) for own, label in zip(scores, labels, strict=True)]
    expected = losses[:2] + sorted(losses[3:], reverse=True)[:6]
    assert float(hardest_loss(scores, labels, 2)) == pytest.approx(sum(expected) / 8, rel=1e-5)
    nothing = torch.full((50,), 2)
    every = [-float(F.log_softmax(own, 0)[2]) for own in scores]
    assert float(hardest_loss(scores, nothing, 2)) == pytest.approx(sum(sorted(every)[-3:]) / 3, rel=1e-5)


class Template(nn.Module):
    """Two classes without background: how bright the middle is, and how dark."""

    def forward(self, windows: Tensor) -> Tensor:
        middle, edge = windows[:, :, 4:12, 4:12].mean((1, 2, 3)), windows.mean((1, 2, 3))
        return 8 * torch.stack([middle - edge, edge - middle], 1)


def test_any_classifier_detects() -> None:
    image = torch.full((3, 64, 64), 0.5)
    image[:, 14:22, 34:42] = 1  # fits a window of 16 from 30, 10
    image[:, 40:56, 8:24] = 0  # twice as large: fits one of 32 from 0, 32
    grid = WindowGrid(16, 2, [1.0, 0.5])
    assert window_scores(Template(), image[None], grid).shape == (1, len(grid.boxes(64, 64)), 2)
    found = detect(Template(), image, grid, threshold=0.99)
    best = {
        int(label): box.tolist() for box, label in reversed(list(zip(found["boxes"], found["labels"], strict=True)))
    }
    assert best == {0: [30, 10, 46, 26], 1: [0, 32, 32, 64]}
    assert len(detect(Template(), image, grid, threshold=0.6, most=1)["boxes"]) == 1
    assert len(detect(Template(), torch.zeros(3, 64, 64), grid)["boxes"]) == 0


def test_of_overlapping_windows_of_a_class_the_surest_stays() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]])
    probabilities = torch.tensor([[0.8, 0.1], [0.7, 0.6], [0.01, 0.9]])
    found = choose_windows(probabilities, boxes, threshold=0.5, nms_iou=0.3, most=10)
    assert found["labels"].tolist() == [1, 0, 1]
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.8, 0.6]))
    torch.testing.assert_close(found["boxes"], boxes[[2, 0, 1]])


def task(size: int = 40) -> SlidingWindow:
    return SlidingWindow(WindowNetwork(nn.Flatten(), GRID, size), "", LABELS, [0.5], [0.5])


def sure_of(own: SlidingWindow, box: Tensor, label: int) -> Tensor:
    """Scores of one image that name a class in the windows that fit a box, and background elsewhere."""
    labels = label_windows(own.network.boxes, box, torch.tensor([label]), 2)
    labels[labels < 0] = 2
    best = box_iou(own.network.boxes, box).argmax()
    labels[best] = label
    scores = 10 * F.one_hot(labels, 3).float()
    scores[best, label] += 5
    return scores[None]


def test_right_scores_have_little_loss_and_give_the_box_in_the_original() -> None:
    own = task()
    box = own.network.boxes[7:8]
    truth = {"boxes": [box], "box_labels": [torch.tensor([1])]}
    right, wrong = sure_of(own, box, 1), sure_of(own, box, 0)
    assert float(own.loss(right, truth)) < 0.01
    assert float(own.loss(wrong, truth)) > 1
    assert float(own.scores(right, truth)["found"]) == 1
    assert float(own.scores(wrong, truth)["found"]) == 0
    spot = place(80, 60, 40, "stretch")
    said = own.predictions(right, [spot])[0]
    assert said.boxes is not None
    torch.testing.assert_close(torch.from_numpy(said.boxes[0]), box[0] * torch.tensor([1.5, 2, 1.5, 2]))
    assert said.box_labels is not None
    assert said.box_labels[0] == 1


@pytest.mark.parametrize("size", [40, 97])
def test_any_classifier_and_size_and_no_objects(size: int) -> None:
    config = Config(kind="sliding_window", architecture="lenet5", window=16)
    own = build(config, Input(size=size), LABELS).eval()
    images = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8)
    nothing = {"boxes": [torch.zeros(0, 4)], "box_labels": [torch.zeros(0, dtype=torch.int64)]}
    loss = own.training_loss(images, nothing)
    loss.backward()
    assert loss.item() > 0
    outputs = own(images)
    assert outputs.shape == (1, len(WindowGrid(16, 8).boxes(size, size)), 3)
    assert own.loss(outputs, nothing).item() > 0
    assert float(own.scores(outputs, nothing)["found"]) == 1
    with pytest.raises(UserError, match=r"task\.window: 64: larger than the image"):
        build(config.model_copy(update={"window": 64}), Input(size=40), LABELS)


def test_a_trained_classifier_keeps_its_classes_and_gets_background(digits: Path, tmp_path: Path) -> None:
    """The file is a model directory's own: any classifier of the pipeline becomes a detector."""
    classifier = {"kind": "classification", "architecture": "lenet5"}
    small = model("digits").model_dump() | {"task": classifier, "input": {"size": 16, "channels": 1}}
    train(Model.model_validate(small), 0, digits, tmp_path / "model", resume_root=tmp_path / "resume")
    file = tmp_path / "model/weights.safetensors"
    config = Config(kind="sliding_window", architecture="lenet5", window=16)
    own = build(config, Input(size=40, channels=1), load_labels(digits), file)
    known, last = read_weights(file), own.network.classifier.get_submodule("head")
    assert isinstance(last, nn.Linear)
    assert last.weight.shape == (11, 84)
    torch.testing.assert_close(last.weight[:10], known["head.weight"])
    torch.testing.assert_close(last.bias[:10], known["head.bias"])
    body = {name: value for name, value in own.network.classifier.state_dict().items() if not name.startswith("head.")}
    assert body
    assert all(torch.equal(value, known[name]) for name, value in body.items())


def test_a_network_without_a_last_linear_layer_is_refused() -> None:
    with pytest.raises(UserError, match=r"its last layer is Tanh, which cannot be extended by a background class"):
        add_background(nn.Sequential(nn.Flatten(), nn.Tanh()), "1")


def test_it_exports() -> None:
    config = Config(kind="sliding_window", architecture="lenet5", window=16, scales=[1.0, 1.5])
    own = build(config, Input(size=33), LABELS).eval()
    images = torch.randint(0, 256, (2, 33, 33, 3), dtype=torch.uint8)
    graph = torch.export.export(own, (images,)).module()
    torch.testing.assert_close(graph(images), own(images))


def model(dataset: str, **task: Any) -> Model:
    return Model.model_validate(
        {
            "dataset": dataset,
            "task": {"kind": "sliding_window", "architecture": "lenet5", "window": 16, **task},
            "weights": "random",
            "augment": "none",
            "input": {"size": 48},
            "optimizer": {"name": "adam", "lr": 2e-3},
            "trainer": {"max_epochs": 3, "batch_size": 16},
        }
    )


def test_it_trains_and_is_measured(scenes: Path, tmp_path: Path) -> None:
    fitted = train(model("scenes"), 0, scenes, tmp_path / "model", resume_root=tmp_path / "resume")
    assert fitted.curves[-1]["train_loss"] < fitted.curves[0]["train_loss"]
    assert "val_found" in fitted.curves[0]
    (tmp_path / "report").mkdir()
    metrics = evaluate_model(tmp_path / "model", scenes, Evaluation(resamples=100), tmp_path / "report")
    assert metrics["headline"]["name"] == "mAP50"


def test_data_without_boxes_are_refused(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train: no sample has a box.*kind: sliding_window"):
        train(model("digits"), 0, digits, tmp_path / "model", resume_root=tmp_path / "resume")
