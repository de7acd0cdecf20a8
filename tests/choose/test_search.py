"""What is tried, in which order, and when it is stopped; what fits into the time."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from killed_search import SPACE, score

from sightline.config.models import Model
from sightline.labs.choose.cost import Limits, parsed_limits
from sightline.labs.choose.journal import Journal, Record, alone
from sightline.labs.choose.outcome import front
from sightline.labs.choose.proposals import proposed
from sightline.labs.choose.pruning import FEWEST, RUNGS, at_rung, stopped_at
from sightline.labs.choose.ranking import ranking
from sightline.labs.choose.search import Curve, Ended, Search, Stop
from sightline.labs.choose.space import Candidate, Space, space_of
from sightline.system.errors import UserError

SMALL = Space(("fast",), ("net",), (16, 24), (1.0, 2.0))


class Scripted:
    """Trials that take as long as they are told, on a clock of their own, and end as they are told."""

    def __init__(self, lasting: Callable[[Candidate], float], state: str = "finished") -> None:
        self.lasting, self.state = lasting, state
        self.clock = 0.0
        self.ran: list[Candidate] = []

    def possible(self, candidate: Candidate) -> bool:
        return True

    def key(self, candidate: Candidate) -> str:
        return candidate.words()

    def seconds(self, candidate: Candidate, left: float) -> float:
        return self.lasting(candidate)

    def too_costly(self, candidate: Candidate) -> str | None:
        return "too large" if candidate.network == "huge" else None

    def run(self, candidate: Candidate, key: str, keep_on: Callable[[Curve], Stop | None]) -> Ended:
        self.ran.append(candidate)
        self.clock += self.lasting(candidate)
        return Ended(self.state, {"metric": "accuracy", "score": score(candidate), "reason": "no"})  # type: ignore[arg-type]


class Timed(Journal):
    """A journal whose search has run as long as its trials say."""

    trials: Scripted

    def spent(self) -> float:
        return self.trials.clock


def searched(folder: Path, trials: Scripted, space: Space, seconds: float = 1e9) -> Search:
    journal = Timed(folder / "search.db", "c")
    journal.trials = trials
    search = Search(space, journal, trials, seconds, seed=1, follow=lambda line: None)
    search.run()
    return search


def test_the_model_as_it_is_comes_first_and_everything_once() -> None:
    tried: list[Candidate] = []
    while (candidate := proposed(SPACE, tried, (), sorted(tried, key=score, reverse=True), seed=2)) is not None:
        tried.append(candidate)
    assert tried[0] == SPACE.first
    assert {one.recipe for one in tried[:2]} == {"fast", "good"}
    assert len(tried) == len(set(tried)) == len(list(SPACE.all()))
    other = proposed(SPACE, tried[:9], (), sorted(tried[:9], key=score, reverse=True), seed=2)
    assert other == tried[9]  # a function of what was tried


def test_neighbours_differ_in_one_setting_by_one_step() -> None:
    own = Candidate("fast", "one", 16, 1.0)
    near = list(SPACE.neighbours(own))
    assert len(near) == len(set(near)) == 1 + 1 + 1 + 2
    assert Candidate("fast", "one", 32, 1.0) not in near
    for one in near:
        assert sum(one.to_json()[name] != own.to_json()[name] for name in own.to_json()) == 1


def test_what_does_not_fit_is_not_started_and_the_time_is_kept(tmp_path: Path) -> None:
    trials = Scripted(lambda candidate: 100.0 if candidate.size == 24 else 30.0)
    search = searched(tmp_path, trials, SMALL, seconds=120.0)
    assert trials.clock <= 120
    assert {one.size for one in trials.ran} == {16}
    assert any("of which" in why for why in search.left_out.values())


def test_a_network_beyond_the_limits_is_never_trained(tmp_path: Path) -> None:
    trials = Scripted(lambda candidate: 1.0)
    search = searched(tmp_path, trials, Space(("fast",), ("net", "huge"), (16,), (1.0, 2.0)))
    assert {one.network for one in trials.ran} == {"net"}
    assert set(search.left_out.values()) == {"too large"}


def test_a_search_in_which_nothing_can_be_trained_gives_up(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the first 3 trials failed; the last one said:\nno"):
        searched(tmp_path, Scripted(lambda candidate: 1.0, "failed"), SPACE)


def test_what_cannot_be_trained_is_left_out_unless_it_is_the_model_itself(tmp_path: Path) -> None:
    def lasting(candidate: Candidate) -> float:
        if candidate.network == broken:
            raise UserError("too small for it\nmore")
        return 1.0

    broken = "other"
    search = searched(tmp_path / "a", Scripted(lasting), Space(("fast",), ("net", "other"), (16,), (1.0, 2.0)))
    assert [(one.network, why) for one, why in search.left_out.items()] == [("other", "too small for it")] * 2
    assert len(search.journal.records()) == 2
    broken = "net"
    with pytest.raises(UserError, match="too small"):
        searched(tmp_path / "b", Scripted(lasting), SMALL)


def slow_rule(curve: list[float], epochs: int, others: list[tuple[list[float], int]]) -> bool:
    """Whether a training is stopped, counted one by one."""
    for rung in RUNGS:
        place = math.ceil(rung * epochs)
        if place >= epochs or len(curve) < place:
            continue
        own, ahead, known = max(curve[:place]), 0, 0
        for other, length in others:
            needed = math.ceil(rung * length)
            if needed < length and len(other) >= needed:
                known += 1
                ahead += max(other[:needed]) > own
        if known >= FEWEST and 2 * ahead >= known + 1:
            return True
    return False


def test_halving_stops_as_a_slow_count_does() -> None:
    generator = np.random.default_rng(0)
    stopped = 0
    for _ in range(300):
        lengths = generator.integers(1, 13, 6)
        curves = [list(generator.random(generator.integers(0, length + 1))) for length in lengths]
        others = {str(place): (curves[place], int(lengths[place])) for place in range(1, 6)}
        own = stopped_at(curves[0], int(lengths[0]), others) is not None
        assert own == slow_rule(curves[0], int(lengths[0]), list(others.values()))
        stopped += own
    assert 20 < stopped < 280


def test_the_best_training_is_never_stopped_and_rungs_are_shares() -> None:
    others = {str(place): ([0.1 * place] * 30, 30) for place in range(6)}
    assert stopped_at([0.51], 3, others) is None
    assert stopped_at([0.05], 3, others) == RUNGS[0]  # one epoch of three is a third, as ten of thirty are
    assert stopped_at([0.05], 1, others) is None
    assert at_rung([0.3, 0.2], 3, RUNGS[1]) == 0.3


def record(number: int, value: float, latency: float | None, size: int | None, state: str = "finished") -> Record:
    found = {"score": value, "latency_ms": latency, "size_bytes": size}
    known = {name: one for name, one in found.items() if one is not None}
    return Record(number, str(number), SPACE.first, state, 1, 1.0, 1.0, known)  # type: ignore[arg-type]


def test_ranking_keeps_limits_and_the_front_is_not_beaten() -> None:
    records = [
        record(1, 0.9, 30.0, 9_000_000),
        record(2, 0.8, 10.0, 5_000_000),
        record(3, 0.8, 12.0, 6_000_000),
        record(4, 0.95, None, None),
        record(5, 0.99, 1.0, 1, "stopped"),
    ]
    assert [one.number for one in ranking(records)] == [4, 1, 2, 3]
    assert [one.number for one in ranking(records, limits=Limits(20.0, None))] == [2, 3]
    assert [one.number for one in ranking(records, smaller=True)][:2] == [2, 3]
    assert {one.number for one in front(records, False)} == {1, 2, 4}


def test_limits_are_read_with_their_units() -> None:
    assert parsed_limits("20ms", "10MB") == Limits(20.0, 10_000_000)
    assert parsed_limits("0.5 s", "512kB") == Limits(500.0, 512_000)
    assert parsed_limits(None, None) == Limits()
    for latency, size in (("20", None), ("0ms", None), (None, "10"), (None, "-1MB")):
        with pytest.raises(UserError, match="expected a number and its unit"):
            parsed_limits(latency, size)


def test_an_ended_trial_is_never_begun_again_and_contexts_are_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.db", "one")
    journal.begin("k", SPACE.first, 1.0)
    journal.begin("k", SPACE.first, 1.0)
    assert [(one.state, one.starts) for one in journal.records()] == [("running", 2)]
    journal.end("k", "finished", 2.0, {"score": 1.0})
    with pytest.raises(ValueError, match="never repeated"):
        journal.begin("k", SPACE.first, 1.0)
    journal.note("x", [1])
    other = Journal(tmp_path / "a.db", "two")
    assert (other.records(), other.noted("x"), journal.noted("x")) == ([], None, [1])
    (tmp_path / "b.db").write_text("no database at all, but a text of some length")
    with pytest.raises(UserError, match=r"b\.db: not readable"):
        Journal(tmp_path / "b.db", "one")
    assert sqlite3.connect(tmp_path / "a.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_one_search_of_a_model_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    clock = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with (
        alone(tmp_path / "lock"),
        pytest.raises(UserError, match="another `sightline choose`"),
        alone(tmp_path / "lock"),
    ):
        pass


def test_the_space_follows_what_is_written() -> None:
    written = {"dataset": "d", "task": "classification", "recipe": "good", "input": {"size": 224}}
    model = Model.model_validate({**written, "task": {"kind": "classification", "architecture": "timm:resnet18"}})
    space = space_of(model, written, ["timm:resnet18", "timm:tf_efficientnet_lite0"])
    assert space.recipes == ("good", "fast", "best")
    assert space.networks == ("timm:resnet18", "timm:tf_efficientnet_lite0")
    assert space.sizes[0] == 224
    assert all(size % 32 == 0 for size in space.sizes)
    own = {**written, "recipe": None, "optimizer": {"name": "adam", "lr": 0.1}, "weights": {"model": "other"}}
    fixed = space_of(Model.model_validate(own), own, ["timm:resnet18"])
    assert (fixed.recipes, len(fixed.networks)) == ((None,), 1)  # an optimizer somebody wrote, weights of one network
