"""Optimizers without gradients: what they do to weights, that they learn, and what they refuse."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from sightline.config.models import Model
from sightline.config.optimizers import Evolution as EvolutionConfig
from sightline.config.optimizers import NaturalEvolution as NaturalEvolutionConfig
from sightline.data.vary.augmentation import key
from sightline.system.errors import UserError
from sightline.training.evolution import Evolution, NaturalEvolution, Search, centred_ranks
from sightline.training.fit import Fitted, train
from sightline.training.optimizers import build_optimizer

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp", "hidden": [16]},
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "evolution"},
    "trainer": {"max_epochs": 3, "batch_size": 256, "threads": 1, "accelerator": "cpu"},
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "evolution": {"name": "evolution", "sigma": 0.1},
    "natural_evolution": {"name": "natural_evolution", "sigma": 0.1, "lr": 0.1, "population": 20},
}


def model(name: str = "evolution", **changes: Any) -> Model:
    trainer = {**SETTINGS["trainer"], **changes.pop("trainer", {})}
    return Model.model_validate({**SETTINGS, "optimizer": OPTIMIZERS[name], **changes, "trainer": trainer})


def xor() -> tuple[Tensor, Tensor]:
    return torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])


def closure_of(network: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    return lambda: nn.functional.cross_entropy(network(images), labels)


@pytest.mark.parametrize(
    "config",
    [
        EvolutionConfig(name="evolution", sigma=0.3, tries=5),
        NaturalEvolutionConfig(name="natural_evolution", sigma=0.3, lr=0.5, population=20),
    ],
    ids=lambda config: config.name,
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_xor_is_learned(config: Any, seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = build_optimizer(config, network, "2", seed)
    images, labels = xor()
    closure = closure_of(network, images, labels)
    assert float(closure().detach()) > 0.5
    for _ in range(400):
        optimizer.step(closure)
    with torch.no_grad():
        assert float(closure()) < 0.1
        assert network(images).argmax(1).tolist() == labels.tolist()
    assert all(parameter.grad is None for parameter in network.parameters())


def line(weights: list[float]) -> nn.Linear:
    network = nn.Linear(len(weights), 1, bias=False)
    network.weight.data = torch.tensor([weights])
    return network


def test_the_better_of_parent_and_child_lives() -> None:
    """Against the rule, written out one try at a time."""
    network = line([3.0, -2.0])
    optimizer = Evolution(network, seed=7, sigma=0.5, tries=4)
    weights, sigma = network.weight.detach().clone().flatten(), 0.5
    kept = 0
    for step in range(20):
        before = float(weights.square().sum())
        assert float(optimizer.step(lambda: network.weight.square().sum())) == pytest.approx(before)
        drawn = torch.Generator().manual_seed(key(7, "evolution", step) >> 1)
        for _ in range(4):
            child = weights + sigma * torch.randn(2, generator=drawn)
            if child.square().sum() < weights.square().sum():
                weights, sigma = child, sigma * math.exp(0.8 / 3)
                kept += 1
            else:
                sigma *= math.exp(-0.2 / 3)
        torch.testing.assert_close(network.weight.detach().flatten(), weights)
        assert optimizer.param_groups[0]["sigma"] == pytest.approx(sigma)
    assert 0 < kept < 80
    assert weights.norm() < 0.5


def test_natural_evolution_steps_along_ranked_mirrored_differences() -> None:
    network = line([1.0, -2.0, 0.5])
    before = network.weight.detach().clone().flatten()
    optimizer = NaturalEvolution(network, seed=3, lr=0.1, sigma=0.2, population=10)
    optimizer.step(lambda: network.weight.pow(4).sum())
    drawn = torch.Generator().manual_seed(key(3, "evolution", 0) >> 1)
    noise = [torch.randn(3, generator=drawn) for _ in range(5)]
    tried = [sign * one for one in noise for sign in (1, -1)]
    losses = [float((before + 0.2 * one).pow(4).sum()) for one in tried]
    step = torch.zeros(3)
    for one, loss in zip(tried, losses, strict=True):
        worse = sum(other > loss for other in losses)
        step += (worse / 9 - 0.5) * one / (10 * 0.2)
    torch.testing.assert_close(network.weight.detach().flatten(), before + 0.1 * step)


def test_natural_evolution_goes_down_on_the_mean() -> None:
    """With many pairs the step is along the gradient."""
    network = line([1.0, -2.0, 0.5, 0.0])
    before = network.weight.detach().clone().flatten()
    NaturalEvolution(network, 0, 1.0, 0.01, 4000).step(lambda: network.weight.square().sum())
    step = network.weight.detach().flatten() - before
    assert float(nn.functional.cosine_similarity(step, -before, dim=0)) > 0.99


def test_ranks_are_centred_and_shared() -> None:
    assert centred_ranks([3.0, 1.0, 2.0]).tolist() == [-0.5, 0.5, 0.0]
    assert centred_ranks([1.0, 1.0, 5.0]).tolist() == [0.25, 0.25, -0.5]
    assert centred_ranks([math.inf, 0.0]).tolist() == [-0.5, 0.5]


class Noisy(nn.Module):
    """Draws, keeps statistics, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(torch.rand(1))
        result: Tensor = self.body(images)
        return result


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_all_of_a_step_are_compared_under_the_same_conditions(name: str) -> None:
    """Equal draws, statistics of the weights before it, and global generators that go on as after one loss."""
    images, labels = torch.randn(12, 6), torch.randint(0, 2, (12,))
    network = Noisy().train()
    plain = copy.deepcopy(network)
    optimizer = build_optimizer(model(name).optimizer, network, "body.3", 1)
    torch.manual_seed(4)
    optimizer.step(closure_of(network, images, labels))
    after = torch.rand(1)
    assert len(network.seen) > 5
    assert len({float(one) for one in network.seen}) == 1
    torch.manual_seed(4)
    plain(images)
    assert torch.equal(torch.rand(1), after)
    for (key_, one), other in zip(network.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other), key_


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_loss_that_is_no_number_is_the_worst(name: str) -> None:
    network = line([0.9])
    optimizer = build_optimizer(model(name).optimizer, network, "", 1)
    for _ in range(30):
        optimizer.step(lambda: torch.where(network.weight < 1, network.weight**2, math.nan).sum())
    assert abs(float(network.weight.detach())) < 0.5


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_state_goes_on_after_a_break(name: str) -> None:
    images, labels = torch.randn(20, 4), torch.randint(0, 2, (20,))

    def fresh() -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Linear(4, 2)
        return network, build_optimizer(model(name).optimizer, network, "", 5)

    network, optimizer = fresh()
    for _ in range(6):
        optimizer.step(closure_of(network, images, labels))
    broken, first = fresh()
    for _ in range(3):
        first.step(closure_of(broken, images, labels))
    saved = copy.deepcopy((broken.state_dict(), first.state_dict()))
    resumed, second = fresh()
    resumed.load_state_dict(saved[0])
    second.load_state_dict(saved[1])
    for _ in range(3):
        second.step(closure_of(resumed, images, labels))
    assert torch.equal(resumed.weight, network.weight)
    assert second.state_dict() == optimizer.state_dict()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(digits: Path, config: Model, seed: int = 1, callbacks: list[Callback] | None = None) -> Fitted:
    return train(config, seed, digits, Path("model"), callbacks=callbacks or [])


class KilledError(Exception):
    pass


class Kill(Callback):
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch == 2:
            raise KilledError


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_training_learns_and_a_broken_one_ends_with_the_same_bytes(digits: Path, name: str) -> None:
    config = model(name)
    whole = fit(digits, config)
    losses = [row["train_loss"] for row in whole.curves]
    assert losses[2] < losses[1] < losses[0] < 3
    assert whole.card.precision == "32"
    assert fit(digits, config, seed=2).card.weights_sha256 != whole.card.weights_sha256
    with pytest.raises(KilledError):
        fit(digits, config, callbacks=[Kill()])
    again = fit(digits, config)
    assert again.card.weights_sha256 == whole.card.weights_sha256
    assert [row["train_loss"] for row in again.curves] == losses


def test_the_loss_of_an_epoch_is_that_of_its_batches_alone(digits: Path) -> None:
    """Not that of what was tried: with changes of nothing it is the loss of the first weights."""
    still = {"name": "natural_evolution", "sigma": 1e-3, "lr": 1e-12, "population": 4}
    curves = fit(digits, model(optimizer=still)).curves
    assert curves[0]["train_loss"] == pytest.approx(curves[2]["train_loss"], rel=1e-4)
    assert curves[0]["train_loss"] == pytest.approx(curves[0]["val_loss"], rel=0.05)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trainer": {"accumulate": 2}}, "trainer.accumulate: 2: evolution has no gradients; set it to 1"),
        ({"trainer": {"clip_norm": 1.0}}, "trainer.clip_norm: 1.0: evolution has no gradients; set it to null"),
        ({"trainer": {"freeze_epochs": 1}, "weights": "w.pth"}, "trainer.freeze_epochs: 1: evolution has no gradients"),
        ({"trainer": {"precision": "bf16"}}, "trainer.precision: bf16: evolution compares losses that differ little"),
        ({"schedule": {"name": "cosine"}}, "evolution does not use a schedule"),
        ({"ladder": {"rungs": ["fine_tune", "soup"]}}, "ladder: trains by gradients, which evolution does without"),
        ({"recipe": "fast"}, "recipe: trains by gradients, which evolution does without"),
    ],
)
def test_what_needs_gradients_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        model(**changes)


def test_too_many_weights_are_told_before_anything_is_written(digits: Path) -> None:
    config = model(task={"kind": "classification", "architecture": "mnist_cnn"}, input={"size": 28, "channels": 1})
    told = "optimizer.name: evolution: the network has 421,642 parameters, more than 200,000"
    with pytest.raises(UserError, match=told):
        fit(digits, config)
    assert list(Path().iterdir()) == []


def test_several_processes_and_tuning_are_refused(digits: Path) -> None:
    from sightline.labs.tuning.subject import open_subject
    from sightline.training.evolution import require_searchable

    with pytest.raises(UserError, match=r"trainer.devices: 2 processes: evolution compares losses in one"):
        require_searchable(model().optimizer, nn.Linear(2, 2), 2)
    require_searchable(model(optimizer={"name": "sgd", "lr": 0.1}).optimizer, nn.Linear(500, 500), 2)
    with pytest.raises(UserError, match=r"optimizer.name: evolution: probes take steps along gradients"):
        open_subject(model(), 1, digits, Path("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_digits_are_learned_without_gradients(digits: Path, name: str) -> None:
    # A child is kept if it is better on its batch: of few images it would learn those alone.
    optimizer, trainer = {
        "evolution": ({"tries": 50}, {"max_epochs": 300, "batch_size": 1500}),
        "natural_evolution": ({"population": 50}, {"max_epochs": 120}),
    }[name]
    config = model(name, optimizer={**OPTIMIZERS[name], **optimizer}, trainer=trainer)
    curves = fit(digits, config).curves
    assert isinstance(build_optimizer(config.optimizer, nn.Linear(2, 2), ""), Search)
    assert np.mean([row["val_accuracy"] for row in curves[-5:]]) >= 0.85
