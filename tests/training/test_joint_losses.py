"""The mean of several processes' gradients is the gradient of their joint batch, for every task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_task_contract import CONTRACT, Entry, made, some
from torch import Tensor, nn

from sightline.models import processes
from sightline.models.detect.window_network import hardest_loss
from sightline.models.processes import joint_mean
from sightline.tasks import classification

PARTS = ([0, 1, 2, 3, 4], [5, 6, 7])  # of eight images, by process


class Group:
    """As `torch.distributed`, with processes one after the other: a first round notes what each of them sums up."""

    def __init__(self, world: int) -> None:
        self.world, self.rank, self.at = world, 0, 0
        self.noted: list[list[Tensor]] = [[] for _ in range(world)]
        self.noting = True

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def get_world_size(self) -> int:
        return self.world

    def start(self, rank: int, noting: bool) -> None:
        self.rank, self.noting, self.at = rank, noting, 0

    def all_reduce(self, values: Tensor) -> None:
        if self.noting:
            self.noted[self.rank].append(values.clone())
        else:
            assert len({len(own) for own in self.noted}) == 1, "one process would wait for another for ever"
            values.copy_(torch.stack([own[self.at] for own in self.noted]).sum(0))
        self.at += 1


def gradients(module: nn.Module, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, [own for own in module.parameters() if own.requires_grad], allow_unused=True)
    return [torch.zeros(1) if one is None else one for one in found]


def part_of(targets: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    return {
        name: [own[row] for row in rows] if isinstance(own, list) else own[list(rows)] for name, own in targets.items()
    }


def averaged(module: nn.Module, losses: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], float]:
    """Return the mean gradients, and the mean loss, of processes whose losses `losses` makes by rank."""
    group = Group(len(PARTS))
    with monkeypatch.context() as patch:
        patch.setattr(processes, "distributed", group)
        for rank in range(group.world):
            group.start(rank, noting=True)
            losses(rank)
        found, value = [], 0.0
        for rank in range(group.world):
            group.start(rank, noting=False)
            loss = losses(rank)
            value += float(loss.detach()) / group.world
            found.append(gradients(module, loss))
    return [torch.stack(own).mean(0) for own in zip(*found, strict=True)], value


@pytest.fixture(params=[name for name in CONTRACT if name != "sliding_window"])
def entry(request: pytest.FixtureRequest) -> Entry:
    return CONTRACT[request.param]


@pytest.fixture
def prepared(request: pytest.FixtureRequest, entry: Entry) -> Path:
    folder: Path = request.getfixturevalue(entry.data)
    return folder


def test_of_every_task(entry: Entry, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Detectors in two stages choose at random, here always the first.
    monkeypatch.setattr(torch, "randperm", lambda count, device=None: torch.arange(count, device=device))
    task, image = made(entry, prepared)
    if task.kind == "classification":
        task.class_weights = torch.linspace(0.2, 3.0, len(task.labels))  # type: ignore[assignment]
    task.eval()  # batch normalisation would take the statistics of each part
    for stage in (part for part in task.modules() if type(part).__name__ == "TwoStageDetector"):
        stage.training = True  # as in training, it is the maps alone that are wanted
    batch = some(task, prepared, image, list(range(8)))
    for name, own in batch.targets.items():  # the last two images hold nothing
        if isinstance(own, list):
            batch.targets[name] = [*own[:6], own[6][:0], own[7][:0]]
        elif name == "semantic":
            own[6:] = 255
            own[5, :20] = 255
    wanted_loss = task.training_loss(batch.images, batch.targets)
    wanted = gradients(task, wanted_loss)

    def own_loss(rank: int) -> Tensor:
        return task.training_loss(batch.images[PARTS[rank]], part_of(batch.targets, PARTS[rank]))

    ours, value = averaged(task, own_loss, monkeypatch)
    if entry.task.get("loss") != "cross_entropy_dice":  # of which each process tells the part that all have alike
        assert value == pytest.approx(float(wanted_loss), rel=1e-4)
    largest = max(float(one.abs().max()) for one in wanted)
    assert largest > 0
    for own, one in zip(ours, wanted, strict=True):
        torch.testing.assert_close(own, one, rtol=1e-3, atol=1e-4 * largest)


def test_of_windows_mixed_labels_and_signed_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Linear(4, 3)
    inputs = torch.randn(8, 4)
    labels = torch.tensor([0, 1, 2, 2, 2, 2, 2, 1])  # 2 is background, of which all are among the hardest
    shares = torch.rand(8, 3).softmax(1)
    weights = torch.tensor([0.5, 1.0, 4.0])
    for loss in (
        lambda rows: hardest_loss(layer(inputs[rows]), labels[rows], 2, ratio=8),
        lambda rows: classification.soft_cross_entropy(layer(inputs[rows]), shares[rows], weights, 0.1),
        lambda rows: joint_mean(classification.signed_loss("hinge", layer(inputs[rows]), labels[rows]), len(rows)),
    ):
        wanted = gradients(layer, loss(list(range(8))))
        ours, _ = averaged(layer, lambda rank, loss=loss: loss(PARTS[rank]), monkeypatch)
        for own, one in zip(ours, wanted, strict=True):
            torch.testing.assert_close(own, one)


def test_alone_nothing_changes() -> None:
    mean = torch.tensor(1.2345)
    assert joint_mean(mean, 7) is mean
