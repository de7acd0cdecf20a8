"""Batches that are worked on at the same time, each in a thread with its share of the processor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from sightline.evaluation.lanes import threads_each
from sightline.system.processors import usable_processors

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Lanes:
    """Threads for batches, and further ones in which the images of a batch are read.

    Args:
        count: batches that are worked on at the same time; one is worked on in the caller's thread.
    """

    def __init__(self, count: int) -> None:
        self._count, self._each = count, threads_each(count) or usable_processors()
        self._stack = ExitStack()

    def __enter__(self) -> Lanes:
        """Start the threads."""
        self._readers = self._stack.enter_context(ThreadPoolExecutor(usable_processors()))
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        self._stack.close()

    def side_by_side(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
        """Yield work(item) in order, from several threads if a lane has more than one."""
        return map(work, items) if self._each == 1 and self._count > 1 else self._readers.map(work, items)

    def in_order(self, work: Callable[[_Item], _Result], batches: Iterable[_Item]) -> Iterator[_Result]:
        """Yield work(batch) in order; with several lanes the next ones are under way meanwhile."""
        if self._count == 1:
            yield from map(work, batches)
            return
        import torch  # what runs in a lane has imported it

        waiting: deque[Future[_Result]] = deque()
        # torch's number counts for the thread that sets it
        with ThreadPoolExecutor(self._count, initializer=torch.set_num_threads, initargs=(self._each,)) as pool:
            try:
                for batch in batches:
                    waiting.append(pool.submit(work, batch))
                    if len(waiting) > self._count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
