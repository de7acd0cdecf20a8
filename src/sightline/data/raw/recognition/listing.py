"""The files of a folder, listed once, as those who look for formats ask for them."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath

from sightline.data.raw.formats.source import is_image, require_root, visible_files


class Listing:
    """The visible files below a folder.

    Args:
        root: the folder.

    Attributes:
        paths: all files, /-separated, relative to the root, sorted by folder.

    Raises:
        UserError: it is no folder, or cannot be listed.
    """

    def __init__(self, root: Path) -> None:
        require_root(root)
        self.root = root
        self.paths = list(visible_files(root))

    @cached_property
    def images(self) -> list[str]:
        """The files that claim to be images."""
        return [path for path in self.paths if is_image(path)]

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """The images directly in each folder, "." for the root."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.images:
            found[PurePosixPath(path).parent.as_posix()].append(path)
        return dict(found)

    def ending(self, *endings: str) -> list[str]:
        """Return the files whose names have one of these endings, in any case."""
        return [path for path in self.paths if path.lower().endswith(endings)]

    def wrapped(self) -> str:
        """Return the folder that holds all images and annotations, where archives put one or more folders around them.

        A folder is passed through while it has no image itself and only one folder with images; "." is the root.
        """
        here = PurePosixPath()
        while True:
            inside = [PurePosixPath(path).relative_to(here).parts for path in self.images]
            first = {parts[0] for parts in inside}
            if len(first) != 1 or any(len(parts) == 1 for parts in inside):
                return here.as_posix()
            following = here / first.pop()
            if _says_more(self.root / here, following.name):
                return here.as_posix()
            here = following


def _says_more(folder: Path, inner: str) -> bool:
    """Return whether other folders next to the one with the images hold something, as Annotations/ next to images/."""
    return any(
        other.is_dir() and other.name != inner and any(path.is_file() for path in other.rglob("*"))
        for other in folder.iterdir()
        if not other.name.startswith(".")
    )
