from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sightline.config.evaluation import Gate
from sightline.data.structures import LabelMap
from sightline.registry.gate import (
    Decision,
    class_changes,
    could_veto,
    decide,
    holm,
    sign_test,
)
from sightline.tasks.metrics.by_kind import metrics_of
from sightline.tasks.metrics.paired import expanded_tail, gain_interval
from sightline.tasks.metrics.resampling import mean_of

LABELS = LabelMap(tuple("abcd"), tuple("abcd"))


def classified(wrong: set[int], count: int = 400, prefix: str = "s") -> pd.DataFrame:
    """Sample i has class i % 4; those in `wrong` are taken for the next one."""
    number = np.arange(count)
    label = number % 4
    predicted = np.where(np.isin(number, list(wrong)), (label + 1) % 4, label)
    ids = [f"{prefix}{value:05d}" for value in number]
    return pd.DataFrame({"id": ids, "label": label, "predicted": predicted, "rank": (label != predicted).astype(int)})


def restored(values: object) -> pd.DataFrame:
    psnr = np.asarray(values, np.float64)
    return pd.DataFrame({"id": [f"{place:03d}" for place in range(len(psnr))], "psnr": psnr, "ssim": 0.0, "mse": -psnr})


def judge(old: pd.DataFrame, new: pd.DataFrame, metric: str = "", **rules: float) -> Decision:
    kind, headline = ("autoencoder", "psnr") if "psnr" in old else ("classification", "accuracy")
    return decide(old, new, metric or headline, partial(metrics_of, kind, labels=LABELS), Gate(**rules), 2000, 0.95)


def test_interval_equals_a_slow_loop() -> None:
    old, new = np.random.default_rng(1).normal(0.1, 1, (2, 23))
    gain, low, high = gain_interval(mean_of(old), mean_of(new), 23, 500, 0.9, seed=3)
    draws = np.random.Generator(np.random.Philox(key=[3, 0])).integers(0, 23, (500, 23)).tolist()
    means = sorted(sum(new[index] - old[index] for index in draw) / 23 for draw in draws)

    def quantile(share: float) -> float:
        place = share * (len(means) - 1)
        below = int(place)
        return means[below] + (place - below) * (means[min(below + 1, len(means) - 1)] - means[below])

    assert gain == pytest.approx(new.mean() - old.mean(), abs=1e-12)
    tail = expanded_tail(0.05, 23)
    assert low == pytest.approx(quantile(tail), abs=1e-12)
    assert high == pytest.approx(quantile(1 - tail), abs=1e-12)


def test_fewer_samples_cut_off_less() -> None:
    """The normal quantile of the tail is Student's, widened by the variance that draws lack."""
    for count in (5, 23, 1000):
        wanted = stats.t.ppf(0.025, count - 1) * np.sqrt(count / (count - 1))
        assert stats.norm.ppf(expanded_tail(0.025, count)) == pytest.approx(wanted)
    assert expanded_tail(0.025, 10**6) == pytest.approx(0.025, rel=1e-4)
    assert expanded_tail(0.025, 1) == 0.025


def test_interval_is_the_same_whatever_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (mean_of(own) for own in np.random.default_rng(1).normal(0, 1, (2, 101)))
    whole = gain_interval(old, new, 101, 300, 0.95)
    monkeypatch.setattr("sightline.tasks.metrics.resampling._NUMBERS_AT_ONCE", 101 * 7)
    assert gain_interval(old, new, 101, 300, 0.95) == pytest.approx(whole, abs=1e-12)


def test_equal_is_refused() -> None:
    decision = judge(classified({1, 2}), classified({1, 2}))
    assert (decision.outcome, decision.reason) == ("refuse", "equal: no difference on 400 samples")


def test_better_is_promoted_whatever_the_order_of_the_samples() -> None:
    old, new = classified(set(range(60))), classified(set(range(20)))
    decision = judge(old, new)
    assert decision.outcome == "promote"
    assert decision.gain == pytest.approx(0.1)
    assert 0 < decision.low < 0.1 < decision.high
    turn = np.random.default_rng(0).permutation(400)
    assert judge(old, new.iloc[turn]) == decision


def test_within_noise_and_worse_are_refused_with_the_interval() -> None:
    decision = judge(classified({1, 2, 3}), classified({5, 6}))
    assert decision.outcome == "refuse"
    assert decision.reason.startswith("within noise: gain +0.0025 [")
    worse = judge(classified(set()), classified(set(range(80))), max_class_drop=1.0)
    assert worse.outcome == "refuse"
    assert worse.reason.startswith("worse: gain -0.2000")


def test_min_gain_is_a_strict_bound_of_the_lower_end() -> None:
    old, new = classified(set(range(60))), classified(set(range(20)))
    low = judge(old, new).low
    assert judge(old, new, min_gain=low).outcome == "refuse"
    assert judge(old, new, min_gain=low - 1e-9).outcome == "promote"


def test_better_overall_but_worse_in_one_class_is_vetoed() -> None:
    old = classified({number for number in range(400) if number % 4 != 3 and number < 240})
    new = classified({number for number in range(400) if number % 4 == 3 and number < 40})
    measure = partial(metrics_of, "classification", labels=LABELS)
    decision = decide(old, new, "accuracy", measure, Gate(max_class_drop=0.05), 2000, 0.95, names=LABELS.classes)
    assert decision.outcome == "refuse"
    assert decision.low > 0
    told = (
        "recall of class d falls from 1.000 to 0.900 on 100 samples (chance 0.0039), more than the "
        "allowed 0.05 and more"
    )
    assert told in decision.reason
    assert [change.vetoes for change in decision.per_class] == [False, False, False, True]
    assert judge(old, new, min_class_samples=101).outcome == "promote"
    assert judge(old, new, max_class_drop=0.1).outcome == "promote"  # just 0.1 is allowed


def test_rows_that_cannot_be_compared() -> None:
    one = classified({1})
    with pytest.raises(ValueError, match="different samples"):
        judge(one, classified({1}, prefix="t"))
    with pytest.raises(ValueError, match="different annotations"):
        judge(one, one.assign(label=(one["label"] + 1) % 4))
    with pytest.raises(ValueError, match="different annotations"):
        judge(restored([1, 2]).assign(truth=["a", "b"]), restored([1, 2]).assign(truth=["a", "c"]))
    with pytest.raises(ValueError, match="duplicate"):
        judge(one, one.assign(id="a"))
    with pytest.raises(ValueError, match="no test samples"):
        judge(one.iloc[:0], one.iloc[:0])
    with pytest.raises(
        ValueError,
        match=r"recall_of_z is not a metric that can be resampled; use one "
        "of accuracy, top5",
    ):
        judge(one, one, "recall_of_z")
    with pytest.raises(ValueError, match="psnr cannot be measured on these 2 test samples"):
        judge(restored([1, 2]), restored([1, np.nan]))


def test_a_task_without_classes_has_no_veto() -> None:
    decision = judge(restored(np.zeros(100)), restored(np.full(100, 0.5)))
    assert (decision.outcome, decision.per_class) == ("promote", ())


def test_of_errors_the_smaller_is_better() -> None:
    old, new = restored(np.linspace(20, 30, 50)), restored(np.linspace(21, 31, 50))
    decision = judge(old, new, "mse")
    assert (decision.outcome, decision.gain, decision.low) == ("promote", pytest.approx(1), pytest.approx(1))
    worse = judge(new, old, "mse")
    assert worse.reason.startswith("worse: gain -1.0000 [-1.0000, -1.0000]")


def test_one_class_can_be_what_models_are_compared_by() -> None:
    old, new = classified(set(range(0, 240, 4))), classified(set(range(1, 400, 4)))
    assert judge(old, new).outcome == "refuse"
    assert judge(old, new, "recall_of_a", max_class_drop=1).outcome == "promote"
    assert judge(new, old, "recall_of_a", max_class_drop=1).harmful


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_swapping_the_two_never_promotes_both(old: list[bool], new: list[bool]) -> None:
    first, second = restored(old), restored(new[: len(old)])
    outcomes = {judge(first, second).outcome, judge(second, first).outcome}
    assert "refuse" in outcomes


def test_the_sign_test_is_the_share_of_coin_tosses() -> None:
    tosses = [bin(number).count("1") for number in range(2**7)]
    for losses in range(8):
        share = sum(count >= losses for count in tosses) / 2**7
        assert sign_test(losses, 7 - losses) == pytest.approx(share, rel=1e-12)
    assert sign_test([0, 0, 5], [0, 3, 0]).tolist() == pytest.approx([1, 1, 2**-5])
    assert 0.4 < sign_test(10**6, 10**6) < 0.6, "a million tosses take no time"


def test_classes_that_never_could_be_found_to_lose_do_not_count() -> None:
    """With 3 classes of 6 tosses and 97 of 2, only the 3 can reach 0.05 / 3; alone, 2 tosses never reach 0.05."""
    tosses = np.array([6, 6, 6, *[2] * 97])
    assert could_veto(tosses, 0.05).tolist() == [True] * 3 + [False] * 97
    assert not could_veto(np.array([2, 0, 4]), 0.05).any()
    assert could_veto(np.array([5, 0, 0]), 0.05).tolist() == [True, False, False]
    assert could_veto(np.full(100, 20), 0.05).all()
    assert not len(could_veto(np.array([], int), 0.05))


def test_holms_correction() -> None:
    assert holm(np.array([0.04, 0.01, 0.03, 0.5])).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm(np.array([])).tolist() == []


def test_harm_is_more_than_chance() -> None:
    everywhere = judge(classified(set()), classified(set(range(80))), max_class_drop=1.0)
    assert everywhere.harmful
    assert "recall of class 0 falls from 1.000 to 0.800 on 100 samples" in everywhere.reason
    one_class = judge(classified({1, 2, 3}), classified(set(range(0, 200, 4))))
    assert one_class.harmful
    by_chance = judge(classified(set()), classified({0, 4, 8}), max_class_drop=0.02)
    assert by_chance.reason.startswith("within noise")
    assert (by_chance.harmful, [own.vetoes for own in by_chance.per_class]) == (False, [False] * 4)


def test_a_drop_that_chance_explains_is_no_veto() -> None:
    """One class loses a few of 100 samples while all others gain; of four classes one is likely to lose some."""
    old = classified(set(range(40, 400)) - set(range(0, 400, 4)), count=400)
    rules = Gate(max_class_drop=0.05)
    for lost, vetoes in ((3, False), (6, False), (9, True)):
        new = classified(set(range(0, 4 * lost, 4)))
        [first, *_] = class_changes(old, new, rules, 0.95, LABELS.classes)
        assert first.vetoes == (vetoes and lost / 100 > 0.05), first
        assert judge(old, new, max_class_drop=0.05).outcome == ("refuse" if first.vetoes else "promote")
    assert first.chance == pytest.approx(4 * 2**-9)
