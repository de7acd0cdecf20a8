"""Properties of the division into train, val and test."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_folders import record

from sightline.data.splits import carved, divide, find_divided_groups, key, require_parts
from sightline.errors import UserError
from sightline.structures import SPLITS, SplitName

THIRDS: dict[SplitName, float] = {"train": 0.5, "val": 0.3, "test": 0.2}
numbers = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True)


@given(numbers, numbers, st.integers(0, 5))
def test_an_image_stays_when_data_grows(old: list[int], new: list[int], salt: int) -> None:
    before = [record(number) for number in old]
    after = [record(number) for number in sorted({*old, *new})]
    grown = dict(zip([one.source for one in after], divide(after, THIRDS, "hash", salt), strict=True))
    assert [grown[one.source] for one in before] == divide(before, THIRDS, "hash", salt)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=60), st.sampled_from(["hash", "order"]))
def test_groups_and_copies_share_a_split(pairs: list[tuple[int, int]], by: str) -> None:
    records = [
        record(place, sha256=str(image), group=None if group == 0 else str(group))
        for place, (image, group) in enumerate(pairs)
    ]
    splits = divide(records, THIRDS, by, 0)  # type: ignore[arg-type]
    assert len({(key(one), split) for one, split in zip(records, splits, strict=True)}) == len(set(map(key, records)))
    assert not find_divided_groups(records, splits)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.tuples(st.integers(1, 10), st.integers(0, 10), st.integers(0, 10)))
def test_fractions_are_met(salt: int, weights: tuple[int, int, int]) -> None:
    fractions = {name: weight / sum(weights) for name, weight in zip(SPLITS, weights, strict=True)}
    counted = Counter(divide([record(number) for number in range(2000)], fractions, "hash", salt))
    for name, fraction in fractions.items():
        assert abs(counted[name] / 2000 - fraction) < 0.06  # 5 standard deviations at most
        assert counted[name] or fraction < 0.01


@given(st.integers(1, 200), st.tuples(st.integers(1, 10), st.integers(0, 10), st.integers(0, 10)))
def test_order_cuts_exactly(count: int, weights: tuple[int, int, int]) -> None:
    fractions = {name: weight / sum(weights) for name, weight in zip(SPLITS, weights, strict=True)}
    splits = divide([record(number) for number in range(count)], fractions, "order", 0)
    assert splits == sorted(splits, key=SPLITS.index)
    assert abs(splits.count("train") - count * fractions["train"]) <= 0.5 + 1e-9
    assert abs(splits.count("test") - count * fractions["test"]) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("defined", "fractions", "shares"),
    [
        ({"train", "test"}, (0.8, 0.2, 0.0), {"train": 0.8, "val": 0.2}),
        ({"train", "test"}, (0.7, 0.15, 0.15), {"train": 0.7 / 0.85, "val": 0.15 / 0.85}),
        ({"train", "val"}, (0.6, 0.2, 0.2), {"train": 0.75, "test": 0.25}),
        ({"train"}, (0.6, 0.2, 0.2), {"train": 0.6, "val": 0.2, "test": 0.2}),
        (set(), (0.6, 0.2, 0.2), {"train": 0.6, "val": 0.2, "test": 0.2}),
        ({"train", "val", "test"}, (0.6, 0.2, 0.2), {"train": 1.0}),
    ],
)
def test_missing_parts_are_carved_from_train(
    defined: set[SplitName], fractions: tuple[float, ...], shares: dict[SplitName, float]
) -> None:
    assert carved(dict(zip(SPLITS, fractions, strict=True)), defined) == pytest.approx(shares)


@pytest.mark.parametrize("by", ["hash", "order"])
def test_defined_parts_are_kept(by: str) -> None:
    records = [record(number, split="test" if number % 2 else "train") for number in range(400)]
    splits = divide(records, {"train": 0.8, "val": 0.2, "test": 0.0}, by, 0)  # type: ignore[arg-type]
    assert all((split == "test") == (one.split == "test") for one, split in zip(records, splits, strict=True))
    assert 20 <= splits.count("val") <= 60
    assert by == "hash" or splits.count("val") == 40


def test_another_salt_gives_another_division() -> None:
    records = [record(number) for number in range(100)]
    assert divide(records, THIRDS, "hash", 0) != divide(records, THIRDS, "hash", 1)


def test_empty_parts_are_refused() -> None:
    with pytest.raises(UserError, match=r"datasets\.cells\.split\.val: none of the 3 good samples is in val; raise"):
        require_parts("cells", {"train": 2, "val": 0, "test": 1})
