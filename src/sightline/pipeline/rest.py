"""Whether what always runs would find everything as it left it: from the states of files, before much is imported.

DVC runs the stages `code` and `register` each time. Mostly neither has anything to do, and to find that out by doing it
again takes several times as long as to look whether a file has changed: by its number, size and time, as DVC does.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sightline.system.files import read_json, write_json
from sightline.system.version import VERSION

MEMOS = Path(".sightline/rest")  # may be deleted at any time
_PACKAGE = Path(__file__).parents[1]


class Rest:
    """What a stage that always runs finds when it begins, and whether that is what it left when it ended last.

    Args:
        root: of the project.
        stage: as DVC names it.
        reads: files and folders that it depends on, which need not exist; the package is one of them.
        writes: those that it writes.
        words: what else it depends on.
        skipped: of what it reads, whether a path is left out.
    """

    def __init__(
        self,
        root: Path,
        stage: str,
        reads: Sequence[Path],
        writes: Sequence[Path],
        words: Sequence[str] = (),
        skipped: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._memo, self._reads, self._writes = root / MEMOS / f"{stage}.json", reads, writes
        self._words, self._skipped = words, skipped
        self.known = self._read()
        self._before = self._state([*reads, *map(Path, self.known.get("further", ()))])

    def holds(self) -> bool:
        """Return whether nothing has changed since `keep`."""
        return self.known.get("reads") == self._before and self.known.get("writes") == self._state(self._writes)

    def keep(self, further: Sequence[str] = (), **told: Any) -> None:
        """Keep that there is nothing to do now, unless something changed since this was made.

        Args:
            further: paths that turned out to be read too.
            told: what `known` shall hold next time.
        """
        same = self._state([*self._reads, *map(Path, further)]) == self._before
        state = {"reads": self._before, "writes": self._state(self._writes)} if same else {}
        write_json(self._memo, {**told, "further": list(further), **state})

    def _read(self) -> dict[str, Any]:
        try:
            known = read_json(self._memo)
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _state(self, places: Iterable[Path]) -> str:
        found = [VERSION, sys.version, *self._words]
        found += [f"{path} {_told(path)}" for path in sys.path]  # where packages come and go
        found += [line for place in (_PACKAGE, *places) for line in _lines(os.fspath(place), self._skipped)]
        return hashlib.sha256("\n".join(found).encode(errors="surrogateescape")).hexdigest()


def _lines(place: str, skipped: Callable[[str], bool]) -> Iterator[str]:
    """Yield a line for each file at or below a place; compiled files are none."""
    if skipped(place) or place.endswith("__pycache__"):
        return
    try:
        with os.scandir(place) as entries:
            inside = sorted(entry.path for entry in entries)
    except NotADirectoryError:
        yield f"{place} {_told(place)}"
    except OSError:
        yield f"{place} -"
    else:
        yield place
        for path in inside:
            yield from _lines(path, skipped)


def _told(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116 - of hundreds of files
    except OSError:
        return "-"
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
