"""The order of training samples, a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.data.vary.augmentation import key


class EpochSampler:
    """Yields batches of (epoch, index), shuffled again each epoch, every sample once.

    The epoch travels with each index, so loader workers hold no state, and a resumed run continues as if undisturbed.
    Over W processes each takes every W-th sample, so that their b-th batches together are the b-th batch of one process
    with W times the batch size.

    Args:
        count: number of samples.
        batch_size: samples per batch on this process.
        seed: of the order.
        epoch: returns the present epoch when an iteration starts.
        rank: of this process.
        world: number of processes.
        classes: N class ids for balanced batches: each class comes equally often, the rare ones again and again, and
            an epoch has as many samples as without; None for each sample once.
        done: returns how many batches of the epoch to leave out when an iteration starts, as they were learned from
            before a training was killed.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int],
        rank: int = 0,
        world: int = 1,
        classes: NDArray[np.int64] | None = None,
        done: Callable[[], int] = lambda: 0,
    ) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.epoch, self.rank, self.world = epoch, rank, world
        self.classes, self.done = classes, done

    def __len__(self) -> int:
        batches, rest = divmod(self.count // self.world, self.batch_size)
        # Batch normalisation cannot learn from a single sample: it joins the batch before it.
        return max(1, batches + (rest > 1))

    def joint_sizes(self) -> list[int]:
        """Return how many samples each batch has on all processes together."""
        batches = len(self)
        full = [self.batch_size * self.world] * (batches - 1)
        return [*full, self.count - sum(full)]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, batches = self.epoch(), len(self)
        random = np.random.Generator(np.random.Philox(key=[key(self.seed, "order", epoch), 0]))
        order = random.permutation(self.count) if self.classes is None else _balanced(self.classes, random)
        mine = order[self.rank :: self.world]
        for batch in range(self.done(), batches):
            start = batch * self.batch_size
            end = start + self.batch_size if batch < batches - 1 else None  # the last one takes what is left
            yield [(epoch, index) for index in mine[start:end].tolist()]


def _balanced(classes: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return as many indices as there are samples: each run of K has one of each class, drawn without replacement."""
    present = np.unique(classes)
    rounds = -(-len(classes) // len(present))
    columns = []
    for label in present:
        members = np.flatnonzero(classes == label)
        passes = -(-rounds // len(members))
        columns.append(np.concatenate([random.permutation(members) for _ in range(passes)])[:rounds])
    return random.permuted(np.stack(columns, 1), axis=1).ravel()[: len(classes)]
