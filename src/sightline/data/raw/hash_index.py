"""Finds the hashes that differ in few bits, without comparing each with each.

Two hashes of 64 bits that differ in at most d bits differ in at most d / 4 of one of their four quarters. So one looks
up, for each quarter, all values that differ from it in so few bits, and compares with what is found there (M. Norouzi,
A. Punjani and D. J. Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012).
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_QUARTERS, _WIDTH = 4, 16
_PAIRS = 4_000_000  # compared at a time: about 100 MB

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class Near(NamedTuple):
    """Pairs of a query and a member, by query, then by differing bits, then by member."""

    queries: Numbers
    members: Numbers


class HashIndex:
    """An index over N hashes of 64 bits.

    Args:
        hashes: the members' hashes.
        bits: in which a query may differ from a member, 0 to 16.
        most: members kept of each hash; a query finds no more, and thousands of empty images have one hash.
    """

    def __init__(self, hashes: Hashes, bits: int, most: int) -> None:
        self.hashes, self.bits = hashes, bits
        self._members = _first_of_each(hashes, most)
        self._flips = _flips(bits // _QUARTERS)
        lookups = _QUARTERS * len(self._flips)
        self._all = lookups >= len(self._members)  # a look at each costs less
        if not self._all:
            quarters = _quarters(hashes[self._members])
            self._orders = [np.argsort(own, kind="stable").astype(np.uint32) for own in quarters]
            self._starts = [_starts(own) for own in quarters]

    def near(self, queries: Hashes) -> Near:
        """Return the members whose hashes differ from a query's in at most `bits` bits, for each of Q queries."""
        rows, places = self._candidates(queries, np.arange(len(queries)))
        members = self._members[places]
        distances = np.bitwise_count(queries[rows] ^ self.hashes[members])
        order = np.lexsort((members, distances, rows))
        return Near(rows[order], members[order])

    def _candidates(self, queries: Hashes, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Return pairs of a query's number and a place in `_members`, each once."""
        if self._all:
            step = max(1, _PAIRS // max(1, len(self._members)))
            found = [self._compared(queries, rows[start : start + step]) for start in range(0, len(rows), step)]
            return _joined(found)
        firsts, counts = self._ranges(queries[rows])
        total = int(counts.sum())
        if total > _PAIRS and len(rows) > 1:
            half = len(rows) // 2
            return _joined([self._candidates(queries, part) for part in (rows[:half], rows[half:])])
        taken, places = list[Numbers](), list[Numbers]()
        for quarter, order in enumerate(self._orders):
            first, count = firsts[:, quarter].ravel(), counts[:, quarter].ravel()
            inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            own = order[np.repeat(first, count) + inside].astype(np.int64)
            query = np.repeat(np.repeat(rows, len(self._flips)), count)
            near = np.bitwise_count(queries[query] ^ self.hashes[self._members[own]]) <= self.bits
            taken.append(query[near])
            places.append(own[near])
        # A pair may agree in several quarters.
        pairs = np.unique(np.concatenate(taken) * len(self._members) + np.concatenate(places))
        return pairs // len(self._members), pairs % len(self._members)

    def _compared(self, queries: Hashes, rows: Numbers) -> tuple[Numbers, Numbers]:
        differing = np.bitwise_count(queries[rows][:, None] ^ self.hashes[self._members])
        own, places = np.nonzero(differing <= self.bits)
        return rows[own], places

    def _ranges(self, queries: Hashes) -> tuple[Numbers, Numbers]:
        """Return Q x 4 x flips: where the members with each value of a quarter begin in its order, and how many."""
        firsts = np.empty((len(queries), _QUARTERS, len(self._flips)), np.int64)
        counts = np.empty_like(firsts)
        for quarter, own in enumerate(_quarters(queries)):
            wanted = (own[:, None] ^ self._flips).astype(np.int64)
            firsts[:, quarter] = self._starts[quarter][wanted]
            counts[:, quarter] = self._starts[quarter][wanted + 1] - firsts[:, quarter]
        return firsts, counts


def _quarters(hashes: Hashes) -> list[NDArray[np.uint16]]:
    return list(np.ascontiguousarray(hashes).view(np.uint16).reshape(len(hashes), _QUARTERS).T)


def _starts(quarter: NDArray[np.uint16]) -> Numbers:
    """Return 2^16 + 1 numbers: how many values are below each."""
    return np.concatenate([[0], np.cumsum(np.bincount(quarter, minlength=1 << _WIDTH))])


def _flips(most: int) -> NDArray[np.uint16]:
    """Return all numbers of 16 bits of which at most `most` are set."""
    places = [own for count in range(most + 1) for own in combinations(range(_WIDTH), count)]
    return np.array([sum(1 << place for place in own) for own in places], np.uint16)


def _first_of_each(hashes: Hashes, most: int) -> Numbers:
    """Return, ascending, the numbers of the first `most` members of each hash."""
    order = np.argsort(hashes, kind="stable")
    own = hashes[order]
    begins = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
    rank = np.arange(len(own)) - np.repeat(begins, np.diff(np.r_[begins, len(own)]))
    return np.sort(order[rank < most])


def _joined(parts: list[tuple[Numbers, Numbers]]) -> tuple[Numbers, Numbers]:
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([places for _, places in parts])
