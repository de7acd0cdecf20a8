"""The order of training samples, a function of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from sightline.data.augmentation import key


class EpochSampler:
    """Yields batches of (epoch, index), shuffled anew each epoch, every sample once.

    The epoch travels with each index, so loader workers hold no state, and a resumed run continues as if undisturbed.
    Over several processes each takes every `world`-th sample; the last ones wrap around so that all take as many steps.

    Args:
        count: number of samples.
        batch_size: samples per batch on this process.
        seed: of the order.
        epoch: tells the present epoch when an iteration starts.
        rank: of this process.
        world: number of processes.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, epoch: Callable[[], int], rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.epoch, self.rank, self.world = epoch, rank, world

    def __len__(self) -> int:
        share = -(-self.count // self.world)
        batches, rest = divmod(share, self.batch_size)
        # A last batch of one is left out (batch normalisation cannot learn from it), unless it is all there is.
        return batches + (rest > 1 or (rest == 1 and batches == 0))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch()
        order = np.random.Generator(np.random.Philox(key=[key(self.seed, "order", epoch), 0])).permutation(self.count)
        share = -(-self.count // self.world)
        mine = np.resize(order, share * self.world)[self.rank :: self.world]
        for batch in range(len(self)):
            chosen = mine[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, int(index)) for index in chosen]
