"""Timings and choices, with times made up."""

import math
from collections.abc import Callable

import pytest
import torch

from sightline.labs.tuning.numerics import allowed_pairs, tune_numerics
from sightline.labs.tuning.speed import Burst, least_times, least_within, settled
from sightline.labs.tuning.subject import Subject
from sightline.labs.tuning.workers import tune_workers


class Machine:
    """A clock and runs that advance it; for a while everything takes three times as long."""

    def __init__(self, busy: tuple[float, float] = (0.0, 0.0)) -> None:
        self.now, self.busy = 0.0, busy
        self.turns: list[str] = []

    def run(self, name: str, seconds: float) -> Callable[[], float]:
        def once() -> float:
            taken = seconds * (3 if self.busy[0] <= self.now < self.busy[1] else 1)
            self.now += taken
            self.turns.append(name)
            return taken

        return once

    def clock(self) -> float:
        return self.now


def test_the_least_of_turns_survives_a_busy_machine() -> None:
    machine = Machine(busy=(2.0, 6.0))
    runs = {"slow": machine.run("slow", 0.12), "fast": machine.run("fast", 0.1)}
    assert least_times(runs, 12.0, machine.clock) == pytest.approx({"slow": 0.12, "fast": 0.1})


def test_it_stops_when_clear_or_when_time_is_up() -> None:
    machine = Machine()
    least_times({"a": machine.run("a", 1.0), "b": machine.run("b", 1.1)}, 1000.0, machine.clock)
    assert len(machine.turns) < 20
    short = Machine()
    times = least_times({"a": short.run("a", 1.0), "b": short.run("b", 5.0)}, 0.0, short.clock)
    assert times == {"a": 1.0, "b": 5.0}
    assert short.turns == ["a", "a", "b", "b", "a", "b"]  # two to warm up, one that counts


def test_a_hopeless_run_gets_little_time() -> None:
    machine = Machine()
    least_times({"a": machine.run("a", 1.0), "bad": machine.run("bad", 30.0)}, 500.0, machine.clock)
    assert machine.turns.count("bad") <= 5


def test_the_rules_choice_stays_under_a_gain_of_a_tenth() -> None:
    assert settled({"rule": 1.09, "other": 1.0}, now="rule", rule="rule") == "rule"
    assert settled({"rule": 1.11, "other": 1.0}, now="rule", rule="rule") == "other"
    assert settled({"rule": 1.0, "other": 2.0}, now="rule", rule="rule") == "rule"


def test_what_is_written_goes_before_the_rule() -> None:
    assert settled({"rule": 1.0, "written": 1.05, "other": 0.98}, now="written", rule="rule") == "written"
    assert settled({"rule": 1.05, "written": 1.3, "other": 1.0}, now="written", rule="rule") == "rule"
    assert settled({"rule": 1.5, "written": 1.3, "other": 1.0}, now="written", rule="rule") == "other"
    assert settled({"rule": math.inf, "written": math.inf, "other": 1.0}, now="written", rule="rule") == "other"


def test_the_least_number_within_a_twentieth() -> None:
    assert least_within({0: 96.0, 1: 100.0, 2: 99.0}) == 0
    assert least_within({0: 90.0, 1: 96.0, 2: 100.0}) == 1
    assert least_within({16: 50.0, 32: 99.0, 64: 100.0, 128: 80.0}) == 32


def test_a_burst_repeats_short_steps_and_tells_memory_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr("time.perf_counter", machine.clock)
    burst = Burst(machine.run("step", 0.004), torch.device("cpu"))
    assert [burst(), burst()] == pytest.approx([0.004, 0.004])
    assert len(machine.turns) == 1 + 12

    def too_large() -> None:
        raise torch.OutOfMemoryError

    assert Burst(too_large, torch.device("cpu"))() == math.inf


def test_pairs_are_those_that_a_device_has() -> None:
    assert allowed_pairs("cpu", convolutions=False) == [("32", False), ("bf16", False)]
    assert len(allowed_pairs("cpu", convolutions=True)) == 4
    assert ("16", True) in allowed_pairs("cuda", convolutions=True)


def test_settings_stay_when_timings_agree(subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = {("32", False): 0.011, ("32", True): 0.03, ("bf16", False): 0.01, ("bf16", True): 0.02}
    monkeypatch.setattr(
        "sightline.labs.tuning.numerics.least_times", lambda runs, seconds: {k: made_up[k] for k in runs}
    )
    subject = subject_of(trainer={"precision": "auto", "layout": "auto", "accelerator": "cpu"})
    numerics, (precision, layout) = tune_numerics(subject, 32, 1.0)
    assert (numerics.precision, numerics.channels_last) == ("32", False)
    assert (precision.suggested, layout.suggested) == ("auto", "auto")
    made_up["bf16", False] = 0.009
    numerics, (precision, layout) = tune_numerics(subject, 32, 1.0)
    assert numerics.precision == precision.suggested == "bf16"
    assert not layout.changed
    assert "bf16 contiguous 9, 32 contiguous 11" in precision.why
    written = subject_of(trainer={"precision": "bf16", "layout": "channels_last", "accelerator": "cpu"})
    _, (precision, layout) = tune_numerics(written, 32, 1.0)
    assert (precision.changed, layout.suggested) == (False, "contiguous")


def test_the_fewest_workers_are_suggested(subject_of: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = {0: 0.0010, 1: 0.0006, 2: 0.00059}
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr(
        "sightline.labs.tuning.workers.least_times", lambda runs, seconds: {n: made_up[n] for n in runs}
    )
    subject = subject_of(trainer={"num_workers": 2, "accelerator": "cpu"})
    found = tune_workers(subject, subject.now, 32, 0.1)
    assert (found.now, found.suggested) == (2, 1)
    assert found.why == "images/s: 1,000 with 0, 1,667 with 1, 1,695 with 2"
