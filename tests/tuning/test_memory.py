"""What a batch takes and how large it may be, against brute force."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sightline.labs.tuning.batch_size import batch_speeds, largest_batch
from sightline.labs.tuning.memory import available_bytes, kept_bytes, largest_fitting, measure_batch, state_bytes
from sightline.labs.tuning.subject import Subject
from sightline.system.errors import UserError


def test_kept_bytes_of_a_network_counted_by_hand() -> None:
    network = nn.Sequential(nn.Linear(10, 20), nn.Sigmoid(), nn.Linear(20, 5))
    images = torch.zeros(8, 10)
    # The input, and the sigmoid's output, which serves its own gradient and that of the next layer; no weights.
    assert kept_bytes(network, lambda: network(images).sum()) == 4 * 8 * (10 + 20)


def test_nothing_is_left_behind() -> None:
    network = nn.Sequential(nn.Linear(10, 20), nn.Sigmoid(), nn.Linear(20, 5))
    gc.collect()
    gc.disable()  # a circle would be found only later, when the memory is needed elsewhere
    try:
        before = sum(type(held) is Tensor for held in gc.get_objects())
        kept_bytes(network, lambda: network(torch.zeros(8, 10)).sum())
        assert sum(type(held) is Tensor for held in gc.get_objects()) == before
    finally:
        gc.enable()


def test_state_of_adam_is_twice_the_weights() -> None:
    network = nn.Linear(10, 10, bias=False)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 10)).sum().backward()
    optimizer.step()
    assert 400 * 3 <= state_bytes(optimizer) <= 400 * 3 + 8


@pytest.mark.parametrize("architecture", ["mnist_cnn", "timm:resnet10t"])
def test_the_line_through_two_sizes_meets_the_bytes_kept_at_the_predicted_one(
    subject_of: Callable[..., Subject], architecture: str
) -> None:
    subject = subject_of(
        task={"kind": "classification", "architecture": architecture}, input={"size": 32, "channels": 1}
    )
    trial = subject.trial(False)

    def loss(size: int) -> Tensor:
        return trial.loss(subject.batch(size), "32")

    need = measure_batch(trial.task, loss, 0, (2, 4))
    limit = 30 * 2**20
    largest = need.largest(limit)
    assert 10 < largest < 1000
    assert kept_bytes(trial.task, lambda: loss(largest)) == pytest.approx(need.bytes_of(largest), rel=0.01)
    assert kept_bytes(trial.task, lambda: loss(largest)) <= limit * 1.01
    assert kept_bytes(trial.task, lambda: loss(largest * 11 // 10)) > limit


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 31, 32, 33, 64, 777, 1000, 5000])
def test_doubling_and_bisection_find_the_largest(limit: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    found = largest_fitting(fits, first=32, cap=1000)
    most = min(limit, 1000)
    assert most - most // 16 <= found <= most
    assert len(tried) <= 12
    assert max(tried) <= 1000


def test_the_cpu_keeps_to_its_share(subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of()
    largest, told = largest_batch(subject)
    assert largest == subject.samples
    assert f"up to {largest:,} fit" in told
    monkeypatch.setattr("sightline.labs.tuning.batch_size.available_bytes", lambda: 2**20)
    assert 2 < largest_batch(subject)[0] < subject.samples
    monkeypatch.setattr("sightline.labs.tuning.batch_size.available_bytes", lambda: 1000)
    with pytest.raises(UserError, match=r"input\.size: 8: not even one image fits"):
        largest_batch(subject)


def test_sizes_are_timed_as_far_as_they_fit(subject_of: Callable[..., Subject]) -> None:
    subject = subject_of()
    speeds = batch_speeds(subject, subject.now, 32, largest=100, seconds=0.3)
    assert list(speeds) == [16, 32, 64]
    assert all(speed > 0 for speed in speeds.values())
    assert list(batch_speeds(subject, subject.now, 32, largest=100, seconds=0.0)) == [16, 32]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_memory_of_the_machine_and_of_its_groups(tmp_path: Path) -> None:
    write(tmp_path / "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert available_bytes(tmp_path) == 8000 * 1024
    write(tmp_path / "proc/self/cgroup", "3:cpu:/x\n0::/outer/inner\n")
    outer = tmp_path / "sys/fs/cgroup/outer"
    for group, limit in ((outer, "5000"), (outer / "inner", "max")):
        write(group / "memory.max", limit)
        write(group / "memory.current", "3000\n")
        write(group / "memory.stat", "anon 1\ninactive_file 400\n")
    assert available_bytes(tmp_path) == 5000 - 3000 + 400


def test_memory_within_a_container_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "proc/meminfo", "MemAvailable: 8000 kB\n")
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/not-visible-in-here\n")
    here = tmp_path / "sys/fs/cgroup/memory"
    write(here / "memory.limit_in_bytes", "6000")
    write(here / "memory.usage_in_bytes", "1000")
    write(here / "memory.stat", "cache 5\ninactive_file 0\n")
    assert available_bytes(tmp_path) == 5000
    write(here / "memory.limit_in_bytes", "9223372036854771712")
    assert available_bytes(tmp_path) == 8000 * 1024


def test_there_is_memory_on_this_machine() -> None:
    assert available_bytes() > 2**20
