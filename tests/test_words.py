"""Numbers and lists in sentences."""

from __future__ import annotations

from sightline.system.words import count_of, first_few


def test_a_noun_is_in_the_singular_for_one_alone() -> None:
    assert [count_of(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [count_of(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]


def test_long_lists_end_with_a_number() -> None:
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(["a", "b", "c", "d"], 2) == "a, b and 2 more"
