"""Which candidate is tried next: a function of the seed and of what was tried, so that a killed search goes on alike.

Random candidates (Bergstra and Bengio 2012) by turns with neighbours of the best one so far, which differ in one
setting.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from sightline.labs.choose.space import Candidate, Space


def proposed(
    space: Space, tried: Collection[Candidate], left_out: Collection[Candidate], ranked: Sequence[Candidate], seed: int
) -> Candidate | None:
    """Return the next candidate, None if nothing is left.

    The model as it is comes first, then each recipe, the published size and each network alone, then neighbours of the
    best and random ones by turns.

    Args:
        space: what may be tried.
        tried: candidates that were begun.
        left_out: others that cannot be tried, as there is no time for them.
        ranked: those that were finished, the best one first.
        seed: of what is random.
    """
    gone = {*tried, *left_out}
    for candidate in space.plain():
        if candidate not in gone:
            return candidate
    generator = np.random.Generator(np.random.Philox(key=[seed, len(tried)]))
    if len(tried) % 2 == 0:
        for best in ranked:
            near = [candidate for candidate in space.neighbours(best) if candidate not in gone]
            if near:
                return near[int(generator.integers(len(near)))]
    rest = [candidate for candidate in space.all() if candidate not in gone]
    return rest[int(generator.integers(len(rest)))] if rest else None
