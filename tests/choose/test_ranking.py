"""Which trial wins: the log loss decides between scores that so few images cannot tell apart."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from sightline.labs.choose.journal import Record
from sightline.labs.choose.ranking import LOSS, calibrated_log_loss, ranking
from sightline.labs.choose.space import Candidate

PLAIN = Candidate("good", "net", 32, 1.0)
WIDTH = NormalDist().inv_cdf(0.975)


def record(number: int, score: float, error: float | None = None, loss: float | None = None) -> Record:
    found = {"score": score}
    if error is not None:
        found |= {"low": score - WIDTH * error, "high": score + WIDTH * error, "confidence": 0.95}
    if loss is not None:
        found[LOSS] = loss
    return Record(number, str(number), PLAIN, "finished", 1, 1.0, 1.0, found)


def order(records: list[Record], smaller: bool = False) -> list[int]:
    return [one.number for one in ranking(records, smaller)]


def test_within_a_standard_error_the_loss_decides_and_beyond_it_the_score() -> None:
    records = [record(1, 0.95, 0.03, 0.30), record(2, 0.93, 0.03, 0.20), record(3, 0.91, 0.03, 0.01)]
    assert order(records) == [2, 1, 3]
    assert order([record(1, 0.95, 0.01, 0.30), *records[1:]]) == [1, 2, 3]
    errors = [record(1, 0.05, 0.03, 0.30), record(2, 0.07, 0.03, 0.20), record(3, 0.09, 0.03, 0.01)]
    assert order(errors, smaller=True) == [2, 1, 3]


def test_without_losses_or_intervals_the_score_decides() -> None:
    assert order([record(1, 0.93, 0.03), record(2, 0.95, 0.03)]) == [2, 1]
    assert order([record(1, 0.93, 0.03, 0.1), record(2, 0.95, 0.03)]) == [2, 1]
    assert order([record(1, 0.93, None, 0.1), record(2, 0.95, None, 0.2)]) == [2, 1]
    assert ranking([]) == []


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_the_loss_is_that_of_the_best_temperature() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, 200)
    logits = generator.standard_normal((200, 5))
    logits[np.arange(200), labels] += 2.0

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(logits / temperature)[np.arange(200), labels]).mean())

    least = minimize_scalar(loss, bounds=(0.1, 10), method="bounded").fun
    for factor in (0.4, 1.0, 4.0):  # how sure a network is of all images alike does not matter
        assert calibrated_log_loss(softmax(factor * logits), labels) == pytest.approx(least, rel=1e-3)
    assert loss(0.2) > 1.2 * least


@pytest.mark.parametrize("images", [60, 300])
def test_the_winner_is_better_than_the_one_with_the_best_score(images: int) -> None:
    """Twelve networks, right with chances from 0.90 to 0.97; some images are hard for all of them."""
    generator = np.random.default_rng(images)
    chances = np.linspace(0.90, 0.97, 12)
    strengths = np.array([NormalDist().inv_cdf(chance) for chance in chances]) * 2**0.5
    by_score, by_rule = [], []
    for _ in range(400):
        place = generator.permutation(12)
        margins = strengths[place, None] + generator.standard_normal(images) + generator.standard_normal((12, images))
        sure = generator.uniform(0.5, 4.0, 12)  # label smoothing and the length of a training
        probabilities = 1 / (1 + np.exp(-np.abs(margins) * sure[:, None]))
        records = []
        for number, (margin, likely) in enumerate(zip(margins, probabilities, strict=True)):
            labels = (margin < 0).astype(np.int64)  # the network says class 0
            score = float((margin > 0).mean())
            loss = calibrated_log_loss(np.stack([likely, 1 - likely], 1), labels)
            records.append(record(number, score, max(score * (1 - score), 1e-4 / images) ** 0.5 / images**0.5, loss))
        by_rule.append(chances[place][ranking(records)[0].number])
        plain = [record(one.number, one.found["score"]) for one in records]
        by_score.append(chances[place][ranking(plain)[0].number])
    gain = np.mean(by_rule) - np.mean(by_score)
    error = np.std(np.subtract(by_rule, by_score)) / len(by_rule) ** 0.5
    print(f"{images} images: {np.mean(by_score):.4f} by score, {np.mean(by_rule):.4f} by this rule")
    assert gain > 3 * error
