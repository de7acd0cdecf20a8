"""Divides samples so that each class has its share in every part; a pure function of hashes, counts and shares.

The samples of the rarest class come first, and each goes where its class lacks most, as in Sechidis, Tsoumakas and
Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011. Where a sample has one class, every class is within
one sample of its quota in every part, and stays so however often samples are added and the quotas grow: a part that has
more than its quota gets none until the quota has caught up, and the others together lack less than one sample more than
there are to give.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from sightline.data.structures import SPLITS, SplitName

ALL = -2  # stands for every sample, regardless of its classes
_NONE = -1  # for samples without a class

Contents = Mapping[str, Counter[int]]  # what must stay together -> number of samples with each class, and of ALL


def contents(classes: Sequence[int]) -> Counter[int]:
    """Return what one sample with these classes counts for."""
    return Counter([*(set(classes) or {_NONE}), ALL])


class Counts:
    """How many samples of each class are in each part."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[SplitName, int]] = defaultdict(lambda: dict.fromkeys(SPLITS, 0))

    def add(self, own: Counter[int], split: SplitName) -> None:
        """Count samples that are in a part."""
        for label, number in own.items():
            self._counts[label][split] += number

    def of(self, label: int, split: SplitName) -> int:
        """Return the samples of a class in a part."""
        return self._counts[label][split]


def stratify(
    units: Contents, shares: Mapping[SplitName, float], counts: Counts, rank: Callable[[str], float]
) -> dict[str, SplitName]:
    """Return the part of each unit, and add it to what `counts` holds already.

    Args:
        units: what is to be divided; samples of one unit stay together.
        shares: of each part that may be given, adding up to 1.
        counts: what has been assigned already; it stays there, and counts for the quotas.
        rank: a number that looks random but is the same for the same unit.
    """
    coming = Counter[int]()
    for own in units.values():
        coming.update(own)
    totals = {label: number + sum(counts.of(label, split) for split in shares) for label, number in coming.items()}

    def lack(label: int, split: SplitName) -> float:
        return round(shares[split] * totals[label] - counts.of(label, split), 9)

    def behind(own: Counter[int], split: SplitName) -> float:
        """Return how far a part is behind its share of what has been given by now, over all classes of a unit."""
        given = {label: number + sum(counts.of(label, other) for other in shares) for label, number in own.items()}
        return round(sum(shares[split] * given[label] - counts.of(label, split) for label in own), 9)

    def best(label: int, own: Counter[int]) -> SplitName:
        lacks = {split: lack(label, split) for split in shares}
        whole = [split for split in shares if lacks[split] >= 1]
        wanting = whole or [split for split in shares if lacks[split] > 0]  # never none: all lacks are what is to come
        if not whole and "train" in wanting and not counts.of(label, "train"):
            return "train"  # a class that is never learned is useless in the others
        return max(wanting, key=lambda split: behind(own, split))

    parts: dict[str, SplitName] = {}
    members = _by_class(units, rank)
    waiting = Counter({label: len(own) for label, own in members.items()})
    while waiting:
        label = min(waiting, key=lambda label: (waiting[label], label))
        for unit in members[label]:
            if unit in parts:
                continue
            parts[unit] = best(label, units[unit])
            counts.add(units[unit], parts[unit])
            waiting.subtract(other for other in units[unit] if other != ALL)
        del waiting[label]
    return parts


def _by_class(units: Contents, rank: Callable[[str], float]) -> dict[int, list[str]]:
    """Return the units that hold each class, in the order of their ranks."""
    found: dict[int, list[str]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: (rank(unit), unit)):
        for label in units[unit]:
            if label != ALL:
                found[label].append(unit)
    return found
