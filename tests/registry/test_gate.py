import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.config.evaluation import Gate
from sightline.gate import Decision, Scores, decide, gain_interval, sign_test


def scores(wrong: set[int], count: int = 400, prefix: str = "s") -> Scores:
    number = np.arange(count)
    label = number % 4
    predicted = np.where(np.isin(number, list(wrong)), (label + 1) % 4, label)
    ids = np.array([f"{prefix}{value:05d}" for value in number])
    return Scores(ids, (label == predicted).astype(np.float64), label, predicted)


def judge(old: Scores, new: Scores, **rules: float) -> Decision:
    return decide(old, new, Gate(**rules), 2000, 0.95)


def test_interval_equals_a_slow_loop() -> None:
    difference = np.random.default_rng(1).normal(0.1, 1, 23)
    low, high = gain_interval(difference, 500, 0.9, seed=3)
    draws = np.random.Generator(np.random.Philox(3)).integers(0, 23, (500, 23)).tolist()
    means = sorted(sum(difference[index] for index in draw) / 23 for draw in draws)

    def quantile(share: float) -> float:
        place = share * (len(means) - 1)
        below = int(place)
        return means[below] + (place - below) * (means[min(below + 1, len(means) - 1)] - means[below])

    assert low == pytest.approx(quantile(0.05), abs=1e-12)
    assert high == pytest.approx(quantile(0.95), abs=1e-12)


def test_interval_is_the_same_whatever_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    difference = np.random.default_rng(1).normal(0, 1, 101)
    whole = gain_interval(difference, 300, 0.95)
    monkeypatch.setattr("sightline.gate._DRAWS_AT_ONCE", 101 * 7)
    assert gain_interval(difference, 300, 0.95) == whole


def test_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = gain_interval(random.normal(0.2, 1, 100), 400, 0.9, seed)
        hits += low <= 0.2 <= high
    assert 0.84 <= hits / 200 <= 0.96


def test_equal_is_refused() -> None:
    decision = judge(scores({1, 2}), scores({1, 2}))
    assert (decision.outcome, decision.reason) == ("refuse", "equal: no difference on 400 samples")


def test_better_is_promoted_whatever_the_order_of_the_samples() -> None:
    old, new = scores(set(range(60))), scores(set(range(20)))
    decision = judge(old, new)
    assert decision.outcome == "promote"
    assert decision.gain == pytest.approx(0.1)
    assert 0 < decision.low < 0.1 < decision.high
    turn = np.random.default_rng(0).permutation(400)
    mixed = Scores(new.ids[turn], new.score[turn], new.labels[turn], new.predicted[turn])
    assert judge(old, mixed) == decision


def test_within_noise_and_worse_are_refused_with_the_interval() -> None:
    decision = judge(scores({1, 2, 3}), scores({5, 6}))
    assert decision.outcome == "refuse"
    assert decision.reason.startswith("within noise: gain +0.0025 [")
    worse = judge(scores(set()), scores(set(range(80))), max_class_drop=1.0)
    assert worse.outcome == "refuse"
    assert worse.reason.startswith("worse: gain -0.2000")


def test_min_gain_is_a_strict_bound_of_the_lower_end() -> None:
    old, new = scores(set(range(60))), scores(set(range(20)))
    low = judge(old, new).low
    assert judge(old, new, min_gain=low).outcome == "refuse"
    assert judge(old, new, min_gain=low - 1e-9).outcome == "promote"


def test_better_overall_but_worse_in_one_class_is_vetoed() -> None:
    old = scores({number for number in range(400) if number % 4 != 3 and number < 240})
    new = scores({number for number in range(400) if number % 4 == 3 and number < 40})
    decision = decide(old, new, Gate(max_class_drop=0.05), 2000, 0.95, names=["a", "b", "c", "d"])
    assert decision.outcome == "refuse"
    assert decision.low > 0
    assert "recall of class d falls from 1.000 to 0.900 on 100 samples, more than 0.05 allowed" in decision.reason
    assert [change.vetoes for change in decision.per_class] == [False, False, False, True]
    assert judge(old, new, min_class_samples=101).outcome == "promote"
    assert judge(old, new, max_class_drop=0.1).outcome == "promote"  # just 0.1 is allowed


def test_scores_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="different samples"):
        judge(scores({1}), scores({1}, prefix="t"))
    other = scores({1})
    with pytest.raises(ValueError, match="different labels"):
        judge(scores({1}), Scores(other.ids, other.score, (other.labels + 1) % 4, other.predicted))
    with pytest.raises(ValueError, match="repeat"):
        Scores(np.array(["a", "a"]), np.zeros(2))
    with pytest.raises(ValueError, match="finite"):
        Scores(np.array(["a"]), np.array([np.nan]))
    with pytest.raises(ValueError, match="no test samples"):
        Scores(np.array([]), np.array([]))


def test_a_task_without_classes_has_no_veto() -> None:
    ids = np.array([f"{number:03d}" for number in range(100)])
    decision = judge(Scores(ids, np.zeros(100)), Scores(ids, np.full(100, 0.5)))
    assert (decision.outcome, decision.per_class) == ("promote", ())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_swapping_the_two_never_promotes_both(old: list[bool], new: list[bool]) -> None:
    ids = np.array([f"{number:03d}" for number in range(len(old))])
    first = Scores(ids, np.array(old, dtype=np.float64))
    second = Scores(ids, np.array(new[: len(old)], dtype=np.float64))
    outcomes = {judge(first, second).outcome, judge(second, first).outcome}
    assert "refuse" in outcomes


def test_the_sign_test_is_the_share_of_coin_tosses() -> None:
    tosses = [bin(number).count("1") for number in range(2**7)]
    for losses in range(8):
        assert sign_test(losses, 7 - losses) == sum(count >= losses for count in tosses) / 2**7
    assert sign_test(0, 0) == 1


def test_harm_is_more_than_chance() -> None:
    everywhere = judge(scores(set()), scores(set(range(80))), max_class_drop=1.0)
    assert everywhere.harmful
    assert "recall of class 0 falls from 1.000 to 0.800 on 100 samples" in everywhere.reason
    one_class = judge(scores({1, 2, 3}), scores(set(range(0, 200, 4))))
    assert one_class.harmful
    by_chance = judge(scores(set()), scores({0, 4, 8}), max_class_drop=0.02)
    assert by_chance.outcome == "refuse"
    assert "recall of class 0 falls" in by_chance.reason
    few = judge(scores({1, 2, 3, 5, 6, 7}), scores({0, 4, 8}), max_class_drop=0.02)
    assert (few.outcome, few.harmful) == ("refuse", False)
