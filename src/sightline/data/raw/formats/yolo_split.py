"""The split that data.yaml, obj.data or lists called train.txt, val.txt and test.txt give."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.given_split import GivenSplit, require_known
from sightline.data.raw.formats.pairing import Places
from sightline.data.raw.formats.source import is_image
from sightline.data.raw.formats.text import BrokenText, read_text, require_text
from sightline.data.raw.formats.yolo_names import Description
from sightline.data.structures import SplitName
from sightline.system.errors import UserError

_LISTS: dict[str, SplitName] = {"train": "train", "val": "val", "valid": "val", "test": "test"}


def read_split(
    root: Path, told: Description, paths: Collection[str], unused: Collection[str], batch: bool
) -> GivenSplit:
    """Return the parts that are given.

    Args:
        root: of the data set.
        told: findings about its files as a whole.
        paths: all files below the root.
        unused: text files that belong to no image.
        batch: whether parts may be named that are not there.

    Raises:
        UserError: a part leads nowhere, or an image is in two.
    """
    reader = _Reader(root, told, paths)
    for part, written in told.parts.items():
        for place in written:
            reader.read(part, f"{told.place}: {part}", place, batch)
    if not told.parts:
        for text in unused:
            name = PurePosixPath(text)
            if name.parent.as_posix() == "." and name.stem.lower() in _LISTS and _lists_images(root / text):
                reader.read_list(_LISTS[name.stem.lower()], text, batch)
    reader.split.settle()
    return reader.split


class _Reader:
    def __init__(self, root: Path, told: Description, paths: Collection[str]) -> None:
        self.root, self.split = root, GivenSplit(root)
        self.images = [path for path in paths if is_image(path)]
        self.files = Places(paths)
        folders = {"", *(parent.as_posix() for path in paths for parent in PurePosixPath(path).parents)} - {"."}
        self.folders = Places(folders)
        base = PurePosixPath(told.base.replace("\\", "/"))
        self.homes = {root.resolve().name.lower(), base.name.lower(), ""}
        own = PurePosixPath(told.place).parent.as_posix()
        whole = self.folders.find(told.base, (own, "")) if told.base else None
        self.bases = [folder for folder in (whole, own, "") if folder is not None]

    def read(self, part: SplitName, place: str, written: str, batch: bool) -> None:
        """Read a part that is a folder of images, a list of them, or one image."""
        file = self.files.find(written, self.bases)
        folder = self.folders.find(written, self.bases, self._lead_home)
        if file is not None and is_image(file):
            self.split.add(part, file, place)
        elif file is not None:
            self.read_list(part, file, batch)
        else:
            start = f"{folder}/" if folder else ""
            inside = [path for path in self.images if path.startswith(start)] if folder is not None else []
            if not inside and not batch:
                problem = "there is no such folder or list" if folder is None else "contains no image"
                raise UserError(
                    f"{self.root}/{place}: {written!r}: {problem} below {self.root}; "
                    "correct it, or remove the key to take this part from train"
                )
            for path in inside:
                self.split.add(part, path, f"{place}: {written}")

    def read_list(self, part: SplitName, text: str, batch: bool) -> None:
        """Read a file with the path of an image per line."""
        bases = (PurePosixPath(text).parent.as_posix(), *self.bases)
        unknown: dict[int, str] = {}
        known = 0
        for number, line in enumerate(require_text(self.root / text).splitlines(), 1):
            if not line.strip():
                continue
            image = self.files.find(line, bases)
            if image is not None and is_image(image):
                self.split.add(part, image, f"{text}: line {number}")
                known += 1
            else:
                unknown[number] = line.strip()
        if not batch:
            require_known(f"{self.root}/{text}", unknown, known)
        self.split.findings += [
            Finding("unreadable", entry, f"{text}: line {number}: there is no such image")
            for number, entry in unknown.items()
        ]

    def _lead_home(self, dropped: list[str], rest: list[str]) -> bool:
        """Return whether folders lead to this data set on another machine, so that the rest is below the root.

        One folder alone, images of valid/images, is no sign of that.
        """
        return len(rest) > 1 or dropped[-1].lower() in self.homes


def _lists_images(file: Path) -> bool:
    try:
        lines: Iterator[str] = (line.strip() for line in read_text(file).splitlines())
        return is_image(next((line for line in lines if line), ""))
    except BrokenText:
        return False
