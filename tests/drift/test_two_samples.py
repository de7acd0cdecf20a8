"""Tests on two samples against slow oracles, and their p-values where nothing has changed."""

import numpy as np
import pytest
from scipy.stats import kstest

from sightline.operations.drift.two_samples import (
    class_test,
    holm,
    ks_test,
    ks_tests,
    mmd_test,
    principal_components,
)


def slow_mmd(first: np.ndarray, second: np.ndarray, width: float) -> float:
    """Equation 3 of Gretton et al. 2012, pair by pair."""

    def kernel(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.exp(-((one - other) ** 2).sum() / (2 * width**2)))

    n, m = len(first), len(second)
    within = sum(kernel(first[i], first[j]) for i in range(n) for j in range(n) if i != j)
    rest = sum(kernel(second[i], second[j]) for i in range(m) for j in range(m) if i != j)
    across = sum(kernel(a, b) for a in first for b in second)
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)


def samples(seed: int, n: int, m: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.normal(shift, 1, size=(m, 3)).astype(np.float32)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_mmd_is_that_of_the_double_loop(shift: float) -> None:
    first, second = samples(1, 9, 14, shift)
    joined = np.concatenate([first, second]).astype(np.float64)
    apart = [np.linalg.norm(joined[i] - joined[j]) for i in range(len(joined)) for j in range(i)]
    _, value = mmd_test(first, second, 99, 0)
    assert value == pytest.approx(slow_mmd(first, second, float(np.median(apart))), abs=2e-6)


def test_the_p_value_of_one_kernel_is_the_share_of_divisions_that_are_as_far_apart() -> None:
    first, second = samples(2, 7, 8, 0.5)
    p, value = mmd_test(first, second, 199, 5, bandwidths=[1.0])
    joined = np.concatenate([first, second])
    apart = [np.linalg.norm(joined[i] - joined[j]) for i in range(len(joined)) for j in range(i)]
    rng = np.random.default_rng(0)
    others = []
    for _ in range(1000):
        order = rng.permutation(len(joined))
        others.append(slow_mmd(joined[order[:7]], joined[order[7:]], float(np.median(apart))))
    assert p == pytest.approx(np.mean([other >= value for other in others]), abs=0.08)


def test_p_values_are_uniform_where_nothing_has_changed() -> None:
    p_values = [mmd_test(*samples(seed, 12, 15), 99, seed)[0] for seed in range(150)]
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) < 0.05) < 0.12


def test_a_shift_and_a_change_of_spread_are_found() -> None:
    rng = np.random.default_rng(3)
    first, second = samples(3, 80, 60, 0.8)
    assert mmd_test(first, second, 999, 0)[0] == 0.001
    wide = (3 * rng.normal(size=(60, 3))).astype(np.float32)
    assert mmd_test(first, wide, 999, 0)[0] <= 0.005


def test_images_that_are_all_the_same_do_not_differ() -> None:
    same = np.ones((20, 4), np.float32)
    assert mmd_test(same, same, 99, 0) == (1.0, 0.0)
    reference, recent = principal_components(same, same, 8)
    assert ks_tests(reference, recent)[0] == 1.0
    assert ks_test(np.ones(20), np.ones(30))[0] == 1.0


def test_components_do_not_depend_on_which_sample_is_which() -> None:
    first, second = samples(4, 30, 20)
    one = np.concatenate(principal_components(first, second, 3))
    other = np.concatenate(principal_components(second, first, 3)[::-1])
    assert np.allclose(np.abs(one), np.abs(other), atol=1e-4)


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.03, 0.04 times 3, 2, 1 is 0.03, 0.06, 0.04, and no later one may be smaller
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_dimensions_are_corrected_for_their_number() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(60, 20)).astype(np.float32), rng.normal(size=(50, 20)).astype(np.float32)
    second[:, 7] += 2
    p, least, several = ks_tests(first, second)
    assert (least, several) == (7, 1)
    assert p == pytest.approx(20 * ks_test(first[:, 7], second[:, 7])[0])


def test_shares_of_classes() -> None:
    same, other = np.repeat([0, 1, 2], 40), np.repeat([0, 1, 2], [80, 20, 20])
    assert class_test(same, same, 3)[0] == 1.0
    p, changed = class_test(same, other, 3)
    assert changed == 0
    # by hand: expected 60, 30, 30 in both rows
    statistic = 2 * ((20**2) / 60 + 10**2 / 30 + 10**2 / 30)
    assert p == pytest.approx(np.exp(-statistic / 2), rel=1e-6)  # chi-square with two degrees of freedom
    rare = np.array([0] * 100 + [1, 2, 3])
    assert class_test(rare, rare[:103], 4)[0] == 1.0
    assert class_test(np.zeros(30, np.int64), np.zeros(30, np.int64), 4)[0] == 1.0
