"""What runs work over shards: processes of this machine."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol

from sightline.system.errors import UserError
from sightline.system.processors import usable_processors
from sightline.system.shards.work import Work, close_folder, open_folder, perform, single_threaded

TRIES = 3  # of a shard whose worker died
_LOCAL = re.compile(r"local(?::(?P<count>[1-9][0-9]{0,3}))?")
FORMS = "local or local:N, N processes"


class Engine(Protocol):
    """Runs shards, in any order."""

    def each(self, work: Work, folder: Path, numbers: Sequence[int]) -> Iterator[int]:
        """Do the shards of these numbers, and yield each when its result is there.

        Raises:
            UserError: what the function says of bad input; or a shard whose workers died again and again.
        """


def run(work: Work, folder: Path, engine: Engine, advance: Callable[[int], None] = lambda number: None) -> int:
    """Do all shards, but for those that an interrupted run of the same work has done; return how many those were.

    Args:
        work: what to do.
        folder: of the results, new or left by such a run.
        engine: that does it.
        advance: called with the number of each shard that is done now, or was.

    Raises:
        UserError: the folder holds something else, or a shard cannot be done; the results of others stay.
    """
    folder = folder.resolve()
    left = open_folder(work, folder)
    done = sorted(set(range(len(work.shards))) - set(left))
    for number in done:
        advance(number)
    for number in engine.each(work, folder, left):
        advance(number)
    close_folder(folder)
    return len(done)


def engine_of(text: str) -> Engine:
    """Return the engine that a text names.

    Raises:
        UserError: it names none.
    """
    local = _LOCAL.fullmatch(text)
    if local:
        return Local(int(local["count"] or usable_processors()))
    raise UserError(f"--workers {text}: expected {FORMS}")


class Local:
    """Processes of this machine, with one thread each.

    Args:
        count: of them.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def each(self, work: Work, folder: Path, numbers: Sequence[int]) -> Iterator[int]:
        """Do the shards of these numbers, and yield each when its result is there."""
        left, tries = list(numbers), Counter[int]()
        while left:
            begun: set[int] = set()
            try:
                for number in self._once(work, folder, tuple(left), begun):
                    left.remove(number)
                    yield number
            except BrokenProcessPool:
                # Which of them killed its worker is not known: each that had begun has had a try.
                tries.update(begun.intersection(left))
                _require_alive(work, tries)

    def _once(self, work: Work, folder: Path, numbers: Iterable[int], begun: set[int]) -> Iterator[int]:
        """Do the shards until a worker dies."""
        waiting: dict[Future[None], int] = {}
        numbers = iter(numbers)
        with ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), initializer=single_threaded) as pool:
            try:
                while True:
                    for number in numbers:
                        begun.add(number)
                        path = str(work.result(folder, number))
                        future = pool.submit(perform, work.function, dict(work.settings), work.shards[number], path)
                        waiting[future] = number
                        if len(waiting) >= self.count:
                            break
                    if not waiting:
                        return
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        number = waiting.pop(future)
                        future.result()
                        begun.discard(number)
                        yield number
            finally:
                for future in waiting:
                    future.cancel()


def _require_alive(work: Work, tries: Counter[int]) -> None:
    """Check that no shard has had all its tries.

    Raises:
        UserError: one has.
    """
    for number, count in tries.items():
        if count >= TRIES:
            raise UserError(
                f"shard {number} of {len(work.shards)}: its worker died {count} times, probably for want of memory; "
                "use fewer workers or smaller shards, and run this again: what is done stays"
            )
