"""The last layer computes in float32 while a network trains in half precision, and only then."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import TypeAdapter

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.structures import LabelMap
from sightline.tasks import build
from sightline.tasks.base import Task
from sightline.training.exact_head import head_in_float32

LABELS = LabelMap(("a", "b", "c"), ("a", "b", "c"))
IMAGES = torch.randint(0, 256, (4, 16, 16, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def task() -> Task:
    torch.manual_seed(0)
    section = TypeAdapter(TaskConfig).validate_python({"kind": "classification", "architecture": "mnist_cnn"})
    return build(section, Input(size=16, channels=1), LABELS)


def logits(task: Task) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        found = task(IMAGES)
    assert isinstance(found, torch.Tensor)
    return found


def test_logits_are_exact_and_learn(task: Task) -> None:
    assert logits(task).dtype == torch.bfloat16
    before = set(vars(task.network.get_submodule(task.head)))
    with head_in_float32(task, "bf16"):
        found = logits(task)
        assert found.dtype == torch.float32
        assert not torch.equal(found, found.bfloat16().float())
        found.sum().backward()  # type: ignore[no-untyped-call]
        twin = copy.deepcopy(task)  # as averaged weights are kept in
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
        assert not logits(twin).any()
    assert all(parameter.grad is not None for parameter in task.network.parameters())
    assert set(vars(task.network.get_submodule(task.head))) == before
    assert logits(task).dtype == torch.bfloat16


def test_float32_is_left_alone(task: Task) -> None:
    head = task.network.get_submodule(task.head)
    with head_in_float32(task, "32"):
        assert "forward" not in vars(head)
