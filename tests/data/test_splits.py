"""Properties of the division into train, val and test."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_folders import record

from sightline.config.dataset_section import Split
from sightline.data.raw.checks import Record
from sightline.data.raw.division import Division, known_parts, last_division, make_division, read_division, rule_of
from sightline.data.raw.splits import (
    Rule,
    carved,
    divide,
    find_divided_groups,
    find_given_parts,
    key,
    require_parts,
)
from sightline.data.structures import SPLITS, SplitName
from sightline.system.errors import UserError

THIRDS: dict[SplitName, float] = {"train": 0.5, "val": 0.3, "test": 0.2}
RULES = ["stratified", "hash", "order"]
numbers = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True)


@given(numbers, numbers, st.integers(0, 5))
def test_an_image_stays_when_data_grows(old: list[int], new: list[int], salt: int) -> None:
    before = [record(number) for number in old]
    after = [record(number) for number in sorted({*old, *new})]
    grown = dict(zip([one.source for one in after], divide(after, THIRDS, "hash", salt), strict=True))
    assert [grown[one.source] for one in before] == divide(before, THIRDS, "hash", salt)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=60),
    st.sampled_from(["stratified", "hash", "order"]),
)
def test_groups_and_copies_share_a_split(pairs: list[tuple[int, int]], by: str) -> None:
    records = [
        record(place, sha256=str(image), group=None if group == 0 else str(group), present=(image % 3, 5))
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


WEIGHTS = st.tuples(st.integers(1, 10), st.integers(0, 10), st.integers(0, 10))
labelled = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=150)  # class, delivery


def of_classes(pairs: list[tuple[int, int]]) -> list[Record]:
    """Return records of one class each, those of each delivery together."""
    return [
        record(number, present=(label,), label=label, batch=f"b{delivery}" if delivery else "")
        for number, (label, delivery) in enumerate(sorted(pairs, key=lambda pair: pair[1]))
    ]


def fractions_of(weights: tuple[int, ...]) -> dict[SplitName, float]:
    return {name: weight / sum(weights) for name, weight in zip(SPLITS, weights, strict=True)}


def require_quotas(records: list[Record], splits: list[SplitName], fractions: dict[SplitName, float]) -> None:
    counts = Counter((one.label, split) for one, split in zip(records, splits, strict=True))
    for label, total in Counter(one.label for one in records).items():
        for split, fraction in fractions.items():
            assert abs(counts[label, split] - fraction * total) < 1, (label, split, total, counts)


@given(labelled, WEIGHTS, st.integers(0, 5))
def test_each_class_is_within_a_sample_of_its_quota(
    pairs: list[tuple[int, int]], weights: tuple[int, int, int], salt: int
) -> None:
    records, fractions = of_classes(pairs), fractions_of(weights)
    splits = divide(records, fractions, "stratified", salt)
    require_quotas(records, splits, fractions)
    for delivery in range(4):  # so it was at every delivery, and nothing has moved since
        before = [one for one in records if one.batch <= (f"b{delivery}" if delivery else "")]
        then = divide(before, fractions, "stratified", salt)
        assert then == splits[: len(before)]
        require_quotas(before, then, fractions)


@given(labelled, WEIGHTS, st.integers(0, 2))
def test_known_samples_stay_wherever_others_are_put(
    pairs: list[tuple[int, int]], weights: tuple[int, int, int], step: int
) -> None:
    records, fractions = of_classes(pairs), fractions_of(weights)
    old = records[step::3]
    parts = dict(zip(map(key, old), divide(old, fractions, "stratified", 0), strict=True))
    splits = divide(records, fractions, "stratified", 0, parts)
    assert parts.items() <= dict(zip(map(key, records), splits, strict=True)).items()
    require_quotas(records, splits, fractions)
    assert divide(records, fractions, "stratified", 0, dict(zip(map(key, records), splits, strict=True))) == splits


@given(labelled, st.randoms())
def test_the_order_of_samples_does_not_matter(pairs: list[tuple[int, int]], random: Random) -> None:
    records = of_classes([(label, 0) for label, _ in pairs])
    wanted = dict(zip(map(key, records), divide(records, THIRDS, "stratified", 0), strict=True))
    random.shuffle(records)
    assert dict(zip(map(key, records), divide(records, THIRDS, "stratified", 0), strict=True)) == wanted


def test_many_small_classes_all_get_their_share() -> None:
    fractions: dict[SplitName, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
    records = [record(number, label=number % 102, present=(number % 102,)) for number in range(102 * 42)]
    splits = divide(records, fractions, "stratified", 0)
    counts = Counter((one.label, split) for one, split in zip(records, splits, strict=True))
    assert {counts[label, part] for label in range(102) for part in ("val", "test")} == {6, 7}  # the quota is 6.3
    assert all(abs(splits.count(part) - fraction * len(records)) < 1 for part, fraction in fractions.items())


def test_a_class_of_one_sample_is_learnt() -> None:
    records = [record(number, label=number, present=(number,)) for number in range(40)]
    assert set(divide(records, {"train": 0.2, "val": 0.4, "test": 0.4}, "stratified", 0)) == {"train"}


def test_several_classes_per_sample_are_divided_by_presence() -> None:
    random = Random(0)
    records = [
        record(number, label=-1, present=tuple(sorted({min(int(random.expovariate(0.3)), 14) for _ in range(3)})))
        for number in range(900)
    ]
    splits = divide(records, THIRDS, "stratified", 0)
    for label in range(15):
        own = [split for one, split in zip(records, splits, strict=True) if label in one.present]
        for part, fraction in THIRDS.items():
            assert abs(own.count(part) - fraction * len(own)) <= max(2, 0.02 * len(own))


def test_given_parts_count_for_nothing_and_stay() -> None:
    records = [
        record(number, label=number % 4, present=(number % 4,), split="test" if number % 5 == 0 else "train")
        for number in range(400)
    ]
    splits = divide(records, {"train": 0.8, "val": 0.2, "test": 0.0}, "stratified", 0)
    assert all((split == "test") == (one.split == "test") for one, split in zip(records, splits, strict=True))
    for label in range(4):
        own = [split for one, split in zip(records, splits, strict=True) if one.label == label and split != "test"]
        assert own.count("val") == 16  # a fifth of 80


def test_what_the_fractions_do_beside_given_parts_is_told() -> None:
    given = [record(number, split=split) for number, split in enumerate(SPLITS)]
    (alone,) = find_given_parts(given, THIRDS, wanted=True)
    assert alone.reason.endswith("the fractions of split are not used")
    (mixed,) = find_given_parts([*given, record(7), record(8)], THIRDS, wanted=True)
    assert mixed.reason.endswith("the fractions of split apply only to the 2 other samples")


def test_what_is_remembered_depends_on_rule_fractions_and_salt() -> None:
    records = of_classes([(number % 2, 0) for number in range(30)])
    split = Split()
    last = make_division("stratified", split, records, divide(records, THIRDS, "stratified", 0))
    assert read_division(last.to_bytes()) == last
    for own in (last, make_division("hash", split, records, ["train"] * 30)):
        values = {"by": own.by, "settings": own.settings, "parts": own.parts}
        assert own.to_bytes() == (json.dumps(values, indent=1, sort_keys=True) + "\n").encode()
    assert len(known_parts("stratified", split, last, records)) == 30
    for other in (Split(salt=1), Split(train=0.5, val=0.25, test=0.25)):
        assert not known_parts("stratified", other, last, records)
    assert not known_parts("hash", split, last, records)
    assert not make_division("hash", split, records, ["train"] * 30).parts


@pytest.mark.parametrize(
    ("asked", "last", "rule"),
    [
        (None, None, "stratified"),
        (None, Division("hash"), "hash"),
        (None, Division("stratified"), "stratified"),
        (None, Division("order"), "stratified"),
        ("stratified", Division("hash"), "stratified"),
        ("hash", None, "hash"),
        ("order", Division("stratified"), "order"),
    ],
)
def test_what_was_divided_by_hash_stays_so_unless_asked(asked: Rule | None, last: Division | None, rule: Rule) -> None:
    assert rule_of(Split(by=asked), last) == rule


def test_the_last_division_is_that_of_the_folder_or_of_dvc(tmp_path: Path) -> None:
    made = Division("stratified", {"salt": 0}, {"a": "train"})
    assert last_division(tmp_path, None, ran=False) is None
    assert last_division(tmp_path, None, ran=True) == Division("hash")  # made before divisions were remembered
    assert last_division(tmp_path, ("m", made.to_bytes()), ran=True) == made
    assert last_division(tmp_path, ("m", None), ran=True) == Division("stratified", lost="m")
    (tmp_path / "card.json").write_text("{}")
    assert last_division(tmp_path, None, ran=False) == Division("hash")
    (tmp_path / "division.json").write_bytes(made.to_bytes())
    assert last_division(tmp_path, None, ran=False) == made
    (tmp_path / "division.json").write_text("[1]")
    with pytest.raises(UserError, match=r"division\.json: damaged; remove .* to divide the samples again"):
        last_division(tmp_path, None, ran=False)


def test_another_salt_gives_another_division() -> None:
    records = [record(number) for number in range(100)]
    for by in ("stratified", "hash"):
        assert divide(records, THIRDS, by, 0) != divide(records, THIRDS, by, 1)  # type: ignore[arg-type]


def test_empty_parts_are_refused() -> None:
    with pytest.raises(UserError, match=r"datasets\.cells\.split\.val: none of the 3 good samples is in val; raise"):
        require_parts("cells", {"train": 2, "val": 0, "test": 1})
