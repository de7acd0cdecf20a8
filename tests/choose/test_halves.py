"""Validation in two parts: who is where, and that the part which did not choose is not too good."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from sightline.data.store import SplitStore
from sightline.labs.choose.halves import divided, parts_of
from sightline.labs.choose.journal import Record
from sightline.labs.choose.ranking import ranking
from sightline.labs.choose.space import Candidate
from sightline.system.errors import UserError

PLAIN = Candidate("good", "net", 32, 1.0)


def test_a_part_is_a_function_of_the_ids_and_groups_stay_whole() -> None:
    ids = [f"sample-{number}" for number in range(4001)]
    choose, report = divided(ids, [None] * len(ids))
    assert sorted([*choose, *report]) == sorted(ids)
    assert len(choose) == 2001
    by_hash = sorted(ids, key=lambda own: hashlib.sha256(f"choose {own}".encode()).hexdigest())  # the rule, written out
    assert set(choose) == set(by_hash[:2001])
    assert [set(part) for part in divided(ids[::-1], [""] * len(ids))] == [set(choose), set(report)]
    groups = [f"patient-{number // 40}" for number in range(len(ids))]
    parts = divided(ids, groups)
    own = [{groups[ids.index(one)] for one in part} for part in parts]
    assert not own[0] & own[1]
    assert abs(len(parts[0]) - len(parts[1])) <= 40


def test_a_group_with_most_of_the_images_is_not_divided() -> None:
    ids = [str(number) for number in range(20)]
    parts = divided(ids, ["many"] * 15 + [None] * 5)
    assert sorted(map(len, parts)) == [5, 15]


def test_parts_of_a_data_set_are_of_validation(digits: Path, tmp_path: Path) -> None:
    choose, report = parts_of(digits)
    assert sorted([*choose, *report]) == sorted(SplitStore(digits / "val").ids)
    few = tmp_path / "few"
    few.mkdir()
    from sightline.data.subset import write_subset

    write_subset(digits, choose[:12], few / "data", split="val")
    (few / "data" / "test").rename(few / "data" / "val")
    with pytest.raises(
        UserError, match=r"its 12 validation images make parts of \d+ to choose by and \d+ to report on"
    ):
        parts_of(few / "data")


@pytest.mark.parametrize(("candidates", "samples"), [(2, 60), (10, 60), (30, 200)])
def test_the_winners_own_images_flatter_it_and_the_others_do_not(candidates: int, samples: int) -> None:
    """K equal candidates, right with chance 0.8 on each image; the winner is found as a search finds it."""
    chance, searches = 0.8, 1500
    ids = [f"image-{number}" for number in range(samples)]
    chosen = set(divided(ids, [None] * samples)[0])
    chooses = np.array([one in chosen for one in ids])
    generator = np.random.default_rng(0)
    right = generator.random((searches, candidates, samples)) < chance
    naive, reported = [], []
    for one in right:
        scores = one[:, chooses].mean(1)
        records = [Record(k, str(k), PLAIN, "finished", 1, 1.0, 1.0, {"score": v}) for k, v in enumerate(scores)]
        winner = ranking(records)[0].number
        naive.append(scores[winner])
        reported.append(one[winner][~chooses].mean())
    chosen_on, left = int(chooses.sum()), int((~chooses).sum())
    error = (chance * (1 - chance) / searches) ** 0.5  # of a mean over searches, times 1 / sqrt(images)
    # The largest of K means of n images exceeds their common mean by about the largest of K normal values.
    largest = np.random.default_rng(1).standard_normal((20_000, candidates)).max(1).mean()
    expected = largest * (chance * (1 - chance) / chosen_on) ** 0.5
    assert np.mean(naive) - chance == pytest.approx(expected, rel=0.12)
    assert abs(np.mean(reported) - chance) < 4 * error / left**0.5
