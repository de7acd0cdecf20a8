"""The learning rate range test, on made-up losses and on the embedded digits."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sightline.labs.tuning.learning_rate import measure, tune_learning_rate
from sightline.labs.tuning.rates import RangeTest, range_test, smoothed, suggested_rate
from sightline.labs.tuning.subject import Subject

MakeSubject = Callable[..., Subject]


def valley(rate: float) -> float:
    """A loss that falls around 1e-3, is least at 1e-2 and explodes after 0.1."""
    place = math.log10(rate)
    return 2.0 - 1.5 / (1 + math.exp(-4 * (place + 3))) + max(0.0, place + 2) ** 2


def test_the_ramp_is_exponential_and_the_mean_is_corrected() -> None:
    test = range_test(lambda rate: 2.0, first=1e-4, last=1.0, steps=5)
    assert test.rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert smoothed(test.losses) == pytest.approx([2.0] * 5)
    assert smoothed([1.0, 2.0]) == pytest.approx([1.0, (0.9 * 1 + 2) / 1.9])


def test_it_ends_when_the_loss_explodes() -> None:
    losses: Iterator[float] = iter([2.0, 1.0, 1.0, 500.0, 7.0])
    test = range_test(lambda rate: next(losses), steps=5)
    assert test.losses == [2.0, 1.0, 1.0, 500.0]
    numbers = iter([2.0, math.nan, 1.0])
    assert range_test(lambda rate: next(numbers), steps=3).losses == [2.0]
    # Four times as much as nearly nothing is no explosion.
    assert len(range_test(lambda rate: 1.0 if rate < 1e-3 else 0.001 if rate < 1e-1 else 0.9, steps=50).losses) == 50


def test_the_suggestion_is_the_steepest_place_but_keeps_off_the_least() -> None:
    rates = np.geomspace(1e-7, 10, 100).tolist()
    losses = [valley(rate) for rate in rates]
    suggested = suggested_rate(RangeTest(rates, losses))
    assert suggested is not None
    assert 5e-4 < suggested < 2e-3
    assert suggested == float(f"{suggested:.2g}")
    # Falls ever more steeply up to 0.1, where it explodes: a fifth of that.
    cliff = [2.0 - 10 * rate if rate < 0.1 else 50.0 for rate in rates]
    at_least = rates[int(np.argmin(cliff))]
    assert suggested_rate(RangeTest(rates, cliff)) == pytest.approx(at_least / 5, rel=0.05)


def test_no_suggestion_without_a_fall() -> None:
    rates = np.geomspace(1e-7, 10, 100).tolist()
    assert suggested_rate(RangeTest(rates, [1.0 + rate for rate in rates])) is None
    assert suggested_rate(RangeTest(rates[:5], [5.0, 4.0, 3.0, 2.0, 1.0])) is None


def loss_after(subject: Subject, rate: float, steps: int = 60) -> float:
    """Mean loss of the last ten of some training steps."""
    torch.manual_seed(0)
    trial, batches = subject.trial(False, rate), subject.batches(32)
    losses = [float(trial.step([next(batches)], "32")) for _ in range(steps)]
    return float(np.mean(losses[-10:]))


@pytest.mark.parametrize("optimizer", [{"name": "adam", "lr": 1e-5}, {"name": "momentum", "lr": 3.0}])
def test_a_found_rate_learns_better_than_far_lower_and_higher_ones(
    subject_of: MakeSubject, optimizer: dict[str, object]
) -> None:
    subject = subject_of(optimizer=optimizer)
    found = tune_learning_rate(subject, subject.now, 32, Path("out"))
    assert found.changed
    rate = float(found.suggested)
    learned = loss_after(subject, rate)
    assert learned < 0.7
    assert learned < loss_after(subject, rate / 30) - 0.3
    assert learned < loss_after(subject, rate * 30) - 0.3


def test_the_same_seed_gives_the_same_bytes(subject_of: MakeSubject) -> None:
    subject = subject_of(augment="light", task={"kind": "classification", "architecture": "mlp", "dropout": 0.3})
    before = [parameter.clone() for parameter in subject.task.parameters()]
    found = [tune_learning_rate(subject, subject.now, 32, Path(folder)) for folder in ("a", "b")]
    for name in ("learning_rate.png", "learning_rate.csv"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert found[0].suggested == found[1].suggested
    table = pd.read_csv("a/learning_rate.csv")
    assert list(table) == ["lr", "loss", "smoothed"]
    assert table["lr"].is_monotonic_increasing
    assert all(map(torch.equal, before, subject.task.parameters()))


@pytest.mark.parametrize(("written", "suggested"), [(1e-3, 1e-3), (1.9e-3, 1.9e-3), (3e-3, 1e-3), (1e-5, 1e-3)])
def test_a_rate_that_is_as_good_stays(
    subject_of: MakeSubject, monkeypatch: pytest.MonkeyPatch, written: float, suggested: float
) -> None:
    monkeypatch.setattr("sightline.labs.tuning.learning_rate.measure", lambda *_: range_test(valley))
    monkeypatch.setattr("sightline.labs.tuning.learning_rate.suggested_rate", lambda *_: 1e-3)
    subject = subject_of(optimizer={"name": "adam", "lr": written})
    assert tune_learning_rate(subject, subject.now, 32, Path("out")).suggested == suggested


def test_rules_have_no_rate_to_search(subject_of: MakeSubject) -> None:
    task = {"kind": "classification", "architecture": "perceptron", "loss": "perceptron"}
    subject = subject_of(task=task, optimizer={"name": "rosenblatt"})
    found = tune_learning_rate(subject, subject.now, 32, Path("out"))
    assert not found.changed
    assert "not searched" in found.why
    assert not Path("out").exists()


def test_gradients_are_summed_and_layers_keep_their_share(subject_of: MakeSubject) -> None:
    subject = subject_of(optimizer={"name": "sgd", "lr": 0.1, "layer_decay": 0.5}, trainer={"accumulate": 4})
    trial = subject.trial(False)
    trial.set_rate(1.0)
    assert sorted({group["lr"] for group in trial.optimizer.param_groups}) == [0.5, 1.0]
    four, whole = subject.trial(False, 1.0), subject.trial(False, 1.0)
    one = subject.batch(4)
    assert float(four.step([one] * 4, "32")) == pytest.approx(float(whole.step([one], "32")))
    for mine, other in zip(four.task.parameters(), whole.task.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)
    test = measure(subject, subject.now, 16)  # four batches for each of a hundred steps: several epochs
    assert len(test.losses) > 50
