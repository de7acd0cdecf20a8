"""Every activation, initialisation, optimizer and schedule works with every other one; what does not fit says so."""

from itertools import product
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Model
from sightline.models.classify.classifiers import build_classifier
from sightline.training.optimizers import build_optimizer, learning_rate_factor

ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "softsign")
INITIALISATIONS = (None, "xavier", "he")
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "sgd", "lr": 0.05},
    {"name": "momentum", "lr": 0.02},
    {"name": "nesterov", "lr": 0.02, "weight_decay": 1e-4},
    {"name": "adagrad", "lr": 0.01},
    {"name": "adadelta", "lr": 1.0},
    {"name": "adam", "lr": 0.003},
    {"name": "adamw", "lr": 0.003},
)
SCHEDULES: tuple[dict[str, Any], ...] = (
    {"name": "constant"},
    {"name": "exponential", "final": 0.5, "warmup": 0.2},
    {"name": "step", "milestones": [0.5]},
    {"name": "cosine", "final": 0.1},
    {"name": "one_cycle", "start": 0.5},
)
STEPS = 10
MODEL: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp", "hidden": [16]},
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam"},
}


def model(task: dict[str, Any] | None = None, **changes: Any) -> Model:
    return Model.model_validate({**MODEL, **changes, "task": {**MODEL["task"], **(task or {})}})


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    images = torch.tensor(digits.images[:64], dtype=torch.float32)[:, None] / 8 - 1
    return images, torch.tensor(digits.target[:64])


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_ten_steps_lower_the_loss(
    batch: tuple[torch.Tensor, torch.Tensor], activation: str, initialisation: str | None
) -> None:
    images, labels = batch
    for optimizer, schedule in product(OPTIMIZERS, SCHEDULES):
        config = model(
            {"activation": activation, "initialisation": initialisation}, optimizer=optimizer, schedule=schedule
        )
        torch.manual_seed(0)
        built = build_classifier("mlp", 1, 8, 10, **config.task.options())
        steps = build_optimizer(config.optimizer, built.network, built.head)
        rate = torch.optim.lr_scheduler.LambdaLR(steps, learning_rate_factor(config.schedule, STEPS))
        losses = []
        for _ in range(STEPS):
            loss = F.cross_entropy(built.network(images), labels)
            losses.append(float(loss.detach()))
            steps.zero_grad()
            loss.backward()
            steps.step()
            rate.step()
        last = float(F.cross_entropy(built.network(images), labels).detach())
        assert last < losses[0], (optimizer, schedule, losses)


@pytest.mark.parametrize(
    ("task", "changes", "told"),
    [
        (
            {},
            {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}},
            "sgd does not use momentum; use name: momentum",
        ),
        ({}, {"optimizer": {"name": "hebb"}}, "optimizer.name: hebb needs task.loss: hebb"),
        ({"loss": "perceptron"}, {}, "trains a single layer: architecture must be neuron or perceptron"),
        (
            {"architecture": "perceptron", "hidden": None, "loss": "perceptron"},
            {"optimizer": {"name": "rosenblatt"}, "schedule": {"name": "cosine"}},
            "rosenblatt does not use a schedule",
        ),
        ({"architecture": "neuron", "loss": "hebb"}, {}, "is unbounded below; it needs optimizer.name: hebb"),
        ({"loss": "hinge", "label_smoothing": 0.1}, {}, "label_smoothing needs loss: cross_entropy"),
        ({"loss": "hinge", "class_weights": "balanced"}, {}, "class_weights needs loss: cross_entropy"),
        ({"initialisation": "he"}, {"weights": "w.pth"}, "task.initialisation is for random weights"),
        ({}, {"trainer": {"freeze_epochs": 1}}, "trainer.freeze_epochs: 1 needs trained weights"),
        ({}, {"schedule": {"name": "step", "milestones": [0.5, 0.2]}}, "milestones must be in ascending order"),
        ({"kind": "regression", "architecture": "perceptron"}, {}, "use mlp with hidden"),
        (
            {"kind": "multilabel"},
            {"trainer": {"sampling": "balanced"}},
            "trainer.sampling: balanced needs one class per image",
        ),
    ],
)
def test_what_does_not_fit_says_so(task: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        model(task, **changes)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])
def test_losses_fall_for_two_and_for_many_classes(
    batch: tuple[torch.Tensor, torch.Tensor], classes: int, loss: str
) -> None:
    from sightline.config.models import Input
    from sightline.data.structures import LabelMap
    from sightline.tasks import build

    names = tuple("0123456789")[:classes]
    task = build(model({"loss": loss}).task, Input(size=8, channels=1), LabelMap(names, names))
    images = ((batch[0] + 1) * 127).permute(0, 2, 3, 1).to(torch.uint8)
    targets = {"label": batch[1] % classes}
    steps = torch.optim.Adam(task.parameters(), 0.01)
    first = float(task.training_loss(images, targets).detach())
    for _ in range(30):
        steps.zero_grad()
        task.training_loss(images, targets).backward()
        steps.step()
    with torch.no_grad():
        loss_now, scores = task.validate(images, targets)
    assert float(loss_now) < 0.5 * first
    assert float(scores["accuracy"]) > 0.9


def test_signed_losses_are_the_rules() -> None:
    """Hebb's and Rosenblatt's changes of the weights, written out, are the gradients of their losses."""
    from sightline.tasks.classification import signed_loss

    torch.manual_seed(0)
    x, labels = torch.randn(20, 5), torch.randint(0, 2, (20,))
    t = 2.0 * labels - 1
    for rule in ("hebb", "perceptron", "hinge"):
        w = torch.randn(5, requires_grad=True)
        z = x @ w
        signed_loss(rule, torch.stack([torch.zeros_like(z), z], 1), labels).backward()
        wrong = {"hebb": torch.ones(20), "perceptron": (t * z < 0).float(), "hinge": (t * z < 1).float()}[rule]
        torch.testing.assert_close(-w.grad, (wrong * t) @ x / 20)  # type: ignore[operator]
