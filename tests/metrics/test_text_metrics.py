"""Character error rate against torchmetrics and a slow edit distance, whole and resampled."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torchmetrics.text import CharErrorRate

from sightline.data.structures import LabelMap, Prediction
from sightline.models.read.column_network import column_network
from sightline.tasks.metrics.by_kind import metrics_of, value_of
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.tasks.metrics.text import aligned, edits
from sightline.tasks.text_recognition import TextRecognition

LABELS = LabelMap((), (), characters=("a", "b", "c"))
PAIRS = [
    ("abc", "abc"),
    ("abc", ""),
    ("", "ab"),
    ("aabb", "abab"),
    ("cab", "acab"),
    ("bbb", "bb"),
    ("abcabc", "bcabca"),
]


@cache
def distance(true: str, read: str) -> int:
    """Return the edit distance, by its definition."""
    if not true or not read:
        return len(true) + len(read)
    last = distance(true[:-1], read[:-1]) + (true[-1] != read[-1])
    return min(last, distance(true[:-1], read) + 1, distance(true, read[:-1]) + 1)


def drawn(count: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(0)
    return [tuple("".join(random.choice(list("abc"), random.integers(0, 7))) for _ in "ab") for _ in range(count)]  # type: ignore[misc]


@pytest.mark.parametrize(("true", "read"), [*PAIRS, *drawn(40)])
def test_alignments_are_the_shortest_and_spell_both_texts(true: str, read: str) -> None:
    pairs = aligned(true, read)
    assert edits(pairs) == distance(true, read)
    assert "".join(one for one, _ in pairs) == true
    assert "".join(other for _, other in pairs) == read


def measured(pairs: list[tuple[str, str]]) -> Any:
    network = column_network(1, 32, 3, width=4, stride=4, sequence="none", hidden=1, layers=1, dropout=0.0)
    task = TextRecognition(network, "head", LABELS, (0.5,), (0.5,))
    truth = pd.DataFrame({"id": [f"{n}" for n in range(len(pairs))], "source": "s", "text": [one for one, _ in pairs]})
    said = [Prediction(text=read, text_score=0.5) for _, read in pairs]
    return task.measure(iter(said), truth, 15)


def test_rates_are_those_of_torchmetrics() -> None:
    pairs = [pair for pair in [*PAIRS, *drawn(60)] if pair[0]]
    found = measured(pairs)
    theirs = float(CharErrorRate()([read for _, read in pairs], [true for true, _ in pairs]))
    assert found.values["character_error_rate"] == pytest.approx(theirs)
    assert found.values["exact_match"] == np.mean([true == read for true, read in pairs])
    assert found.headline == "character_error_rate"


def test_resampled_rates_are_those_of_the_drawn_texts() -> None:
    pairs = drawn(30)
    rows = measured(pairs).rows
    metrics = metrics_of("text_recognition", rows, LABELS)
    counts = np.concatenate(list(resampled_counts(30, 5)))
    for name, metric in metrics.items():
        for own, value in zip(counts.astype(int), metric(counts.astype(np.float32)), strict=True):
            again = measured([pair for pair, times in zip(pairs, own, strict=True) for _ in range(times)])
            assert value == pytest.approx(again.values[name])
        assert value_of(metric, 30) == pytest.approx(measured(pairs).values[name])


def test_tables_count_characters() -> None:
    tables = measured([("aab", "ab"), ("cb", "ccb")]).tables
    assert tables["per_character"].to_dict("list") == {
        "character": ["a", "b", "c"],
        "samples": [2, 2, 1],
        "recall": [0.5, 1.0, 1.0],
    }
    counted = tables["characters"].value_counts().to_dict()
    assert counted[("a", "(nothing)")] == counted[("(nothing)", "c")] == 1


def test_without_a_character_nothing_is_wrong_or_all_is() -> None:
    assert measured([("", "")]).values == {"character_error_rate": 0.0, "exact_match": 1.0}
    assert measured([("", "a"), ("ab", "ab")]).values["character_error_rate"] == 0.5
