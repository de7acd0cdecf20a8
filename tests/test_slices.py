"""Scores of parts of the test split, against the metric of those samples alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from test_evaluate import measured, some, task

from sightline.config.evaluation import Evaluation
from sightline.data.store import SplitStore
from sightline.evaluation.slices import (
    COLUMNS,
    FEW,
    MOST_VALUES,
    REST,
    chosen_columns,
    cut,
    measure_slices,
    read_columns,
)
from sightline.system.errors import UserError

SETTINGS = Evaluation(resamples=400)


def test_each_slice_has_the_metric_of_its_samples_alone() -> None:
    labels, probabilities = some(400)
    right = probabilities.argmax(1) == labels
    hard = np.arange(400) % 4 == 0
    labels[hard & right] = (labels[hard & right] + 1) % 6  # all of these are wrong
    result = measured(labels, probabilities)
    names = np.where(hard, "hard", "easy").astype(object)
    names[:5] = "tiny"
    names[5:9] = np.nan
    columns = pd.DataFrame({"kind": names}, index=result.rows["id"])
    shuffled = columns.sample(frac=1, random_state=0)
    accuracy = {"name": "accuracy", "value": float(result.rows["score"].mean())}
    table = measure_slices(task(), result.rows, accuracy, shuffled, SETTINGS).set_index("value")
    assert list(table.reset_index().columns) == ["value", *(name for name in COLUMNS if name != "value")]
    assert list(table.index) == ["easy", "hard", "tiny"]
    for value, row in table.iterrows():
        own = result.rows["score"].to_numpy()[names == value]
        assert row["samples"] == len(own)
        assert row["score"] == pytest.approx(own.mean())
        assert row["low"] <= row["score"] <= row["high"]
    assert table["verdict"].to_dict() == {"easy": "better", "hard": "worse", "tiny": "few"}
    assert table.loc["tiny", "samples"] < FEW
    easy = table.loc["easy"]
    half = 1.96 * np.sqrt(easy["score"] * (1 - easy["score"]) / easy["samples"])
    assert easy["high"] - easy["low"] == pytest.approx(2 * half, rel=0.2)


@pytest.mark.parametrize(
    ("values", "names", "codes"),
    [
        ([2, 10, 2, None], ["2", "10"], [0, 1, 0, -1]),
        (["b", "a", None, "b"], ["a", "b"], [1, 0, -1, 1]),
        ([True, False, True], ["False", "True"], [1, 0, 1]),
        ([0.5, 0.25], ["0.25", "0.5"], [1, 0]),
    ],
)
def test_values_keep_their_order(values: list[Any], names: list[str], codes: list[int]) -> None:
    parts = cut(pd.Series(values))
    assert list(parts.categories) == names
    assert parts.codes.tolist() == codes


def test_many_numbers_are_cut_at_their_quartiles_and_many_words_to_the_most_frequent() -> None:
    numbers = pd.Series([*np.random.default_rng(0).permutation(100).astype(float), np.nan])
    parts = cut(numbers)
    assert list(parts.categories) == ["0 to 24.75", "24.75 to 49.5", "49.5 to 74.25", "74.25 to 99"]
    assert np.bincount(parts.codes[:-1]).tolist() == [25] * 4
    assert parts.codes[-1] == -1
    skewed = cut(pd.Series([0.0] * 60 + list(range(40))))  # the lower quartiles are equal
    assert np.bincount(skewed.codes).sum() == 100
    words = pd.Series([f"w{place:02d}" for place in range(30)] + ["w29", "w28"])
    kept = cut(words)
    assert len(kept.categories) == MOST_VALUES + 1
    assert kept.categories[-1] == REST
    assert {"w28", "w29"} <= set(kept.categories)
    assert (kept.codes == MOST_VALUES).sum() == 30 - MOST_VALUES


def test_attributes_and_a_file_are_columns(scenes: Path, tmp_path: Path) -> None:
    store = SplitStore(scenes / "test")
    file = tmp_path / "more.csv"
    lines = [f"{source},{'dark' if place % 2 else 'light'},{place}" for place, source in enumerate(store.sources)]
    file.write_text("\n".join(["source,light,objects", *reversed(lines), "elsewhere/1,dark,3"]) + "\n")
    plain, known = read_columns(scenes, None), read_columns(scenes, file)
    assert list(known.index) == list(plain.index) == store.ids
    assert set(plain) == {"photograph", "objects"}
    assert known["objects"].tolist() == list(range(len(store)))  # the file's own, not the attribute
    assert known["light"].iloc[1] == "dark"
    assert set(known["photograph"]) <= {"china", "flower"}
    assert set(chosen_columns(known, "auto")[0]) == {"photograph", "light", "objects"}
    file.write_text("id,weather\nnone of these,rain\n")
    assert set(read_columns(scenes, file)) == {"photograph", "objects"}


def test_named_columns_that_are_not_there_are_told() -> None:
    known = pd.DataFrame({"photograph": ["a", "b"], "same": 1, "id": [f"x{place}" for place in range(2)]})
    assert chosen_columns(known, "auto") == (["photograph", "id"], [])
    assert chosen_columns(known, ["photgraph", "same"]) == (
        ["same"],
        ["no column 'photgraph' to slice by (did you mean photograph?)"],
    )
    assert chosen_columns(pd.DataFrame(index=["a"]), ["x"])[1] == ["no column 'x' to slice by (there are none)"]
    many = pd.DataFrame({"word": [f"x{place}" for place in range(MOST_VALUES + 1)]})
    assert chosen_columns(many, "auto") == ([], [])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        ("a,b\n1,2\n", "has the columns a, b; one of them must be id or source"),
        ("id,b\n1,2\n1,3\n", "id '1' is there twice; remove one of the lines"),
        ("", "not a CSV table in UTF-8"),
    ],
)
def test_a_bad_file_is_told_in_one_line(scenes: Path, tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "more.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError) as raised:
        read_columns(scenes, file)
    assert told in str(raised.value)
    assert str(raised.value).startswith(f"evaluation.slices_file: {file}: ")
    assert len(raised.value.lines) == 1


@pytest.mark.parametrize("name", ["../x.csv", "a/b.csv", "x.txt", "a\\b.csv"])
def test_the_file_lies_in_its_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        Evaluation(slices_file=name)
    assert Evaluation(slices_file="x.csv", slices=["a"]).slices == ["a"]
