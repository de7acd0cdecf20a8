"""Which annotation file belongs to which image, and which image a list means, by their paths."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import PurePosixPath


def loose(path: str) -> str:
    """Return a path as systems see it that ignore case and how letters with accents are composed."""
    return unicodedata.normalize("NFC", path).casefold()


def without_suffix(path: str) -> str:
    """Return a path without the last dot and what follows it."""
    return PurePosixPath(path).with_suffix("").as_posix()


class Pairing:
    """Images and their annotation files: `A/FOLDER/B/NAME.xml` for `A/IMAGES/B/NAME.jpg`, or next to the image.

    Names of folders and suffixes may be in any case. Names of files must agree in it, except where an image and a
    file would stay alone otherwise.

    Args:
        images: paths of images.
        files: paths of annotation files.
        image_folders: what the folder of the images may be called, in lower case; the last one on the way counts.
        file_folders: what stands in its place for annotation files, in lower case.

    Attributes:
        files: the annotation file of each image that has one.
        unused: annotation files of no image, sorted.
    """

    def __init__(
        self,
        images: Iterable[str],
        files: Iterable[str],
        image_folders: Collection[str],
        file_folders: Collection[str],
    ) -> None:
        self.files: dict[str, str] = {}
        self._images: dict[str, list[str]] = defaultdict(list)
        alone, unused = list(images), sorted(files)
        for key in (_same_name, loose):
            known: dict[str, str] = {}
            for file in unused:
                known.setdefault(key(without_suffix(file)), file)
            for image in alone:
                stems = _stems(without_suffix(image), image_folders, file_folders)
                found = next((known[key(stem)] for stem in stems if key(stem) in known), None)
                if found is not None:
                    self.files[image] = found
                    self._images[found].append(image)
            alone = [image for image in alone if image not in self.files]
            unused = [file for file in unused if file not in self._images]
        self.unused = unused

    def sharing(self, image: str, among: Collection[str]) -> list[str]:
        """Return the other images in `among` that have the annotation file of this one."""
        others = self._images.get(self.files.get(image, ""), ())
        return [other for other in others if other != image and other in among]


def _same_name(stem: str) -> str:
    folder, _, name = stem.rpartition("/")
    return f"{loose(folder)}/{unicodedata.normalize('NFC', name)}"


def _stems(stem: str, image_folders: Collection[str], file_folders: Collection[str]) -> Iterator[str]:
    """Yield where the annotation file of an image may be, without its suffix."""
    parts = stem.split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place].lower() in image_folders:
            yield from ("/".join([*parts[:place], name, *parts[place + 1 :]]) for name in file_folders)
    yield stem


class Places:
    """Paths below a root, found by what files that were written elsewhere call them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._known: dict[str, str] = {}
        for path in paths:
            self._known.setdefault(loose(path), path)
            self._known[path] = path

    def find(
        self,
        written: str,
        bases: Iterable[str] = ("",),
        droppable: Callable[[list[str], list[str]], bool] = lambda dropped, rest: True,
    ) -> str | None:
        r"""Return the path that is meant, None if there is none.

        Looked for are the path below each base, then what is left of it below the root as folders that lead to another
        machine's root are dropped one by one: `D:\birds\images\1.jpg`, `/content/birds/images/1.jpg` and
        `../birds/images/1.jpg` are `images/1.jpg`.

        Args:
            written: the path, separated by / or \.
            bases: folders below the root that it may be relative to.
            droppable: returns whether the first of these folders may be dropped before the rest.
        """
        path = written.strip().strip("\"'").replace("\\", "/")
        for base in bases:
            if not base and path in self._known:  # nearly always, and a known path is in its normal form
                return self._known[path]
            found = self._get(posixpath.normpath(posixpath.join(base, path)))
            if found is not None:
                return found
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            if not start or droppable(parts[:start], parts[start:]):
                found = self._get("/".join(parts[start:]))
                if found is not None:
                    return found
        return None

    def _get(self, path: str) -> str | None:
        path = "" if path == "." else path
        return self._known.get(path) if path in self._known else self._known.get(loose(path))
