"""The index over hashes against a comparison of each with each."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.data.raw import hash_index
from sightline.data.raw.hash_index import HashIndex


def related(rng: np.random.Generator, masters: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Return hashes of which each differs from one of the masters in 0 to 20 bits."""
    found = masters[rng.integers(0, len(masters), count)]
    for number in range(count):
        for place in rng.choice(64, int(rng.integers(0, 21)), replace=False).tolist():
            found[number] ^= np.uint64(1 << place)
    return found


def slow(members: NDArray[np.uint64], queries: NDArray[np.uint64], bits: int, most: int) -> list[tuple[int, int]]:
    seen: dict[int, int] = {}
    kept = []
    for number, value in enumerate(members.tolist()):
        seen[value] = seen.get(value, 0) + 1
        if seen[value] <= most:
            kept.append((number, value))
    pairs = []
    for query, own in enumerate(queries.tolist()):
        near = [((own ^ value).bit_count(), number) for number, value in kept]
        pairs += [(query, number) for distance, number in sorted(near) if distance <= bits]
    return pairs


@pytest.mark.parametrize("bits", [0, 1, 3, 4, 7, 8, 11, 12, 16])
@pytest.mark.parametrize("count", [1, 30, 700])
def test_the_index_finds_what_a_comparison_of_each_with_each_finds(bits: int, count: int) -> None:
    rng = np.random.default_rng(bits * 1000 + count)
    masters = rng.integers(0, 2**64, 12, np.uint64)
    members, queries = related(rng, masters, count), related(rng, masters, 40)
    members[count // 2 :] = members[: count - count // 2]  # copies
    near = HashIndex(members, bits, 1).near(queries)
    assert list(zip(near.queries.tolist(), near.members.tolist(), strict=True)) == slow(members, queries, bits, 1)
    assert bits < 8 or len(near.queries) or count == 1


@pytest.mark.parametrize("bits", [2, 4])
def test_of_one_hash_only_the_first_members_are_found(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_index, "_PAIRS", 50)  # so that queries are divided
    rng = np.random.default_rng(1)
    members = np.concatenate([np.full(500, 7, np.uint64), rng.integers(0, 2**64, 2000, np.uint64)])
    queries = np.concatenate([np.full(20, 7, np.uint64), np.full(3, 6, np.uint64), members[-30:]])
    near = HashIndex(members, bits, 32).near(queries)
    assert list(zip(near.queries.tolist(), near.members.tolist(), strict=True)) == slow(members, queries, bits, 32)
    assert (near.queries == 0).sum() == 32
