"""Precision and layout that `auto` stands for on a CPU: what is counted, what is chosen, and how good that was."""

import json
import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from bench.numerics import RESULTS, TARGET, Row, committed_rows
from bench.numerics_fit import QUANTITIES, UNSURE, best_range, fitted_rows, score
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.tasks.classification import Classification
from sightline.training import hardware
from sightline.training.hardware import choose_numerics
from sightline.training.speed_rule import BOUNDS, Bounds, Work, fastest
from sightline.training.work import count_work

LABELS = LabelMap(tuple("0123456789"), tuple("0123456789"))
MNIST_CNN = Work(  # by hand: places x weights of each layer
    dense=28 * 28 * (32 * 9) + 14 * 14 * (64 * 32 * 9),
    depthwise=0,
    linear=7 * 7 * 64 * 128 + 128 * 10,
    values=28 * 28 * 32 + 14 * 14 * 64 + 128 + 10,
    weights=32 * 9 + 64 * 32 * 9 + 7 * 7 * 64 * 128 + 128 * 10,
    calls=4,
)


def classifier(network: nn.Module, channels: int = 3) -> Classification:
    return Classification(network, "head", LABELS, [0.5] * channels, [0.5] * channels)


def built(architecture: str, size: int, channels: int) -> Any:
    config: Any = TypeAdapter(TaskConfig).validate_python({"kind": "classification", "architecture": architecture})
    return build(config, Input(size=size, channels=channels), LABELS)  # type: ignore[arg-type]


def test_work_of_the_lectures_network_by_hand() -> None:
    assert count_work(built("mnist_cnn", 28, 1), 28, 1) == MNIST_CNN


class Odd(nn.Module):
    """Layers of each kind that is counted, one of them used twice, and one that draws."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(3, 6, 3, groups=3, stride=2)
        self.grouped = nn.Conv2d(6, 4, 1, groups=2, bias=False)
        self.larger = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.norm = nn.BatchNorm2d(3)
        self.reader = nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(5, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.grouped(self.depthwise(pixels))
        maps = self.norm(self.larger(maps) + 0 * torch.rand(()))
        columns, _ = self.reader(maps.mean(2).permute(0, 2, 1))
        return self.head(columns[:, 0]) + self.head(columns[:, 1])


def test_every_kind_of_layer_is_counted() -> None:
    work = count_work(classifier(Odd()), (5, 9), 3)  # 2 x 4 maps, then 4 x 8 of them
    assert work.depthwise == (2 * 4) * (6 * 9)
    assert work.dense == (2 * 4) * (4 * 3) + (2 * 4) * (4 * 3 * 2 * 2)
    lstm = 4 * 5 * (3 + 5) + 2 * 4 * 5
    assert work.linear == 8 * lstm + 2 * 50
    assert work.values == 6 * 8 + 4 * 8 + 3 * 32 + 5 * 8 + 2 * 10
    assert work.weights == 6 * 9 + 4 * 3 + 4 * 3 * 4 + lstm + 50
    assert work.calls == 6


def test_counting_changes_nothing() -> None:
    task = classifier(Odd())
    task.network.depthwise.eval()  # type: ignore[union-attr]
    before = {name: values.clone() for name, values in task.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    count_work(task, (5, 9), 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert [name for name, module in task.named_modules() if not module.training] == ["network.depthwise"]
    assert all(torch.equal(values, before[name]) for name, values in task.state_dict().items())
    assert not any(module._forward_hooks for module in task.modules())


def told(row: Row) -> str:
    return f"{row.instructions} {row.network} {row.size} px, {row.batch} per step: {row.of_best:.2f}"


# FCOS was 0.79 and 0.77 in two runs; LeNet-5 0.98 in one and 0.76 in the other. docs/decisions.md has what is known.
EXCEPTIONS = {("all", "fcos", 64, 8), *UNSURE}


def test_the_choice_is_within_a_tenth_of_the_best_wherever_it_was_timed() -> None:
    found = committed_rows()
    assert len({row.network for row in found}) >= 15
    missed = {(row.instructions, row.network, row.size, row.batch): told(row) for row in found if row.of_best < TARGET}
    assert missed.keys() == EXCEPTIONS, missed


def test_the_table_tells_what_the_rule_chooses_now() -> None:
    """After a change of the rule: python -m bench.numerics --judge."""
    content = json.loads(RESULTS.read_text())
    assert [row["chosen"] for row in content["rows"]] == [row.chosen for row in committed_rows()]
    assert content["ratio"]["least"] == round(min(row.of_best for row in committed_rows()), 3)


@pytest.mark.parametrize("name", QUANTITIES)
def test_each_bound_is_what_the_fit_finds(name: str) -> None:
    low, high = best_range(fitted_rows(), name)
    assert low < asdict(BOUNDS)[name] <= high
    assert asdict(BOUNDS).keys() == QUANTITIES.keys()


def test_the_fit_finds_the_gap_between_two_rows() -> None:
    def row(batch: int, faster: str) -> Row:
        ms = {"32 contiguous": 2.0, "bf16 contiguous": 2.0} | {f"{faster} contiguous": 1.0}
        return Row("all", True, "n", 1, batch, Work(0, 0, linear=10, values=1, weights=1, calls=1), ms)

    rows = [row(1, "32"), row(2, "32"), row(4, "bf16"), row(8, "bf16")]
    assert best_range(rows, "large_matrix") == (20, 40)
    assert score(rows, Bounds(large_matrix=30)) == 0
    assert score(rows, Bounds(large_matrix=50)) == pytest.approx(math.log(0.5 / TARGET))


def test_a_network_without_counted_layers_is_left_alone() -> None:
    assert fastest(Work(0, 0, 0, 0, 0, 0), 32, native=True) == ("32", False)


def test_no_constant_choice_would_do() -> None:
    """Else the rule would be idle: each of its answers costs more than a tenth somewhere, with bf16 and without."""
    native = [row for row in committed_rows() if row.bf16]
    for setting in {name for row in native for name in row.ms}:
        assert min(min(row.ms.values()) / row.ms.get(setting, 1e9) for row in native) < TARGET, setting


def test_what_is_set_by_hand_is_kept_and_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_native_bf16", lambda device: True)

    def never() -> Work:
        raise AssertionError

    network = nn.Conv2d(1, 1, 3)
    by_hand = choose_numerics(network, "cpu", "32", "channels_last", 3, never, 8)
    assert (by_hand.precision, by_hand.channels_last, by_hand.threads) == ("32", True, 3)
    assert choose_numerics(network, "cpu", "bf16", "contiguous", 1, never, 8).precision == "bf16"
    for precision in ("32", "bf16"):
        assert choose_numerics(network, "cpu", precision, "auto", 1, lambda: MNIST_CNN, 32).precision == precision
    for layout in ("contiguous", "channels_last"):
        found = choose_numerics(network, "cpu", "auto", layout, 1, lambda: MNIST_CNN, 32)
        assert found.channels_last == (layout == "channels_last")
    both = choose_numerics(network, "cpu", "auto", "auto", 1, lambda: MNIST_CNN, 32)
    assert (both.precision, both.channels_last) == fastest(MNIST_CNN, 32, native=True)
    with pytest.raises(UserError, match="16 needs a GPU"):
        choose_numerics(network, "cpu", "16", "auto", 1, never, 32)


def test_without_the_instructions_nothing_is_trained_in_bf16() -> None:
    for batch in (1, 32, 4096):
        assert fastest(MNIST_CNN, batch, native=False)[0] == "32"


def test_accelerators_do_not_count() -> None:
    def never() -> Work:
        raise AssertionError

    numerics = choose_numerics(nn.Conv2d(1, 1, 3), "mps", "auto", "auto", 1, never, 8)
    assert (numerics.precision, numerics.channels_last) == ("32", False)
