"""Training batches several at a time, for a loop that does several steps in a turn."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Dataset

from sightline.training.batch import Batch
from sightline.training.batches import Batches
from sightline.training.sampling import EpochSampler


class Turns(Dataset[list[Batch]]):
    """The batches of a turn as one item."""

    def __init__(self, data: Batches) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, drawn: list[list[tuple[int, int]]]) -> list[Batch]:
        """Return one batch for each list of (epoch, index) pairs."""
        return [self.data.__getitems__(one) for one in drawn]


class TurnSampler:
    """Yields what a sampler yields, several at a time."""

    def __init__(self, sampler: EpochSampler, together: int) -> None:
        self.sampler, self.together = sampler, together

    def __len__(self) -> int:
        return (len(self.sampler) + self.together - 1) // self.together

    def __iter__(self) -> Iterator[list[list[tuple[int, int]]]]:
        turn: list[list[tuple[int, int]]] = []
        for batch in self.sampler:
            turn.append(batch)
            if len(turn) == self.together:
                yield turn
                turn = []
        if turn:
            yield turn
