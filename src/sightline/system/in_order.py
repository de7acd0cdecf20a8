"""Work in threads of which only a bounded number of results wait to be taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sightline.system.processors import usable_processors

_PIECE = 64  # items per piece of work, so that threads cost little for tiny ones
_WAITING = 2  # pieces per thread that are begun or waiting, so that no thread waits for the taker

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(work: Callable[[_Item], _Result], items: Sequence[_Item], piece: int = _PIECE) -> Iterator[_Result]:
    """Yield work(item) of each item in order, made by a thread per processor and a little before it is asked for.

    Args:
        work: may be called from several threads; the first error, in order, is raised here.
        items: to work on.
        piece: how many items a thread takes at a time.
    """

    def do(start: int) -> list[_Result]:
        return [work(item) for item in items[start : start + piece]]

    threads = usable_processors()
    waiting: deque[Future[list[_Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(items), piece):
                waiting.append(pool.submit(do, start))
                if len(waiting) > _WAITING * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
