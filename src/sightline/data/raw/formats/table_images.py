"""Finds the image files that a table means: by path, without suffix, with backslashes, or by a name alone."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from sightline.data.raw.formats.source import is_image, name_of, visible_files


class TableImages:
    """The images below a root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, cell: str) -> tuple[str, str | None]:
        """Return the path below the root that a cell means, and what is wrong with it, if anything.

        What leads to no file is returned as it is: the checks of images say that it is missing.
        """
        if "\\" in cell and not self._is_file(cell):  # on Linux a name may hold one
            cell = cell.replace("\\", "/")
        path = PurePosixPath(cell)
        if not cell:
            return cell, "is empty; name the image file"
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:/", cell):
            return cell, f"is outside {self.root}; give a path below it"
        plain = path.as_posix()
        if self._is_file(plain):
            return plain, None
        found = self._meant(name_of(plain))
        if len(found) > 1:
            return plain, f"may be {' or '.join(found[:3])}; give the full path below {self.root}, with the suffix"
        return (found[0] if found else plain), None

    def _is_file(self, path: str) -> bool:
        try:
            return (self.root / path).is_file()
        except (OSError, ValueError):  # a name that is too long, or holds a zero
            return False

    def _meant(self, path: str) -> Sequence[str]:
        """Return the files of this path, else those whose path ends so, with or without a suffix."""
        for known in (self._whole, self._ends):
            if path in known:
                return known[path]
        return ()

    @cached_property
    def _whole(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._images:
            for name in {name_of(path), os.path.splitext(name_of(path))[0]}:  # noqa: PTH122 - a Path costs 3x as much
                found[name].append(path)
        return found

    @cached_property
    def _ends(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name, paths in self._whole.items():
            parts = name.split("/")
            for start in range(1, len(parts)):
                found["/".join(parts[start:])] += paths
        return found

    @cached_property
    def _images(self) -> list[str]:
        return [path for path in visible_files(self.root) if is_image(path)]
