"""What every format offers: its classes, and its samples one at a time."""

from __future__ import annotations

import os
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sightline.data.raw.findings import Code, Finding
from sightline.data.structures import LabelMap, Sample, SplitName
from sightline.system.errors import UserError

# What cameras, scanners and data sets call the formats that are read; the bytes decide which of them it is.
IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".gif",
        ".jp2",
        ".j2k",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
    ]
)

# What operating systems, archives and tools leave behind, in lower case; hidden files are left out anyway.
_LEFT_BEHIND = frozenset(
    {
        "__macosx",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__pycache__",
    }
)

_MISSING = frozenset({"nan", "na", "n/a", "null", "<na>", "#n/a", "~"})  # as in tables; "none" may be a class

_TOLD = 10  # lines of an error; more would hide the first


class Unreadable(Exception):  # noqa: N818 - the finding is named so
    """A sample that cannot be used; `code` is the kind of finding."""

    def __init__(self, source: str, reason: str, code: Code = "unreadable") -> None:
        self.source, self.reason, self.code = source, reason, code
        super().__init__(f"{source}: {reason}")


class Source(ABC):
    """Samples in an order that is the same on every machine; only the image asked for is in memory.

    Attributes:
        labels: the classes.
        ignored: files below the root that are not images; hidden ones are left out.
        findings: what was found when the source was opened.
        sample_labels: the class of each sample where that is all that is known of it, else None.
    """

    labels: LabelMap
    ignored: list[str]
    findings: Sequence[Finding] = ()
    sample_labels: Sequence[int] | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Return one sample; it may be asked for from several threads, and again.

        Raises:
            Unreadable: the image or its annotation cannot be used.
        """

    def examined(self, index: int) -> tuple[Sample, list[Finding]]:
        """Return one sample with what was found in its annotations.

        Raises:
            Unreadable: the image or its annotation cannot be used.
        """
        return self.sample(index), []

    def stored_bytes(self, index: int) -> int | None:
        """Return how many bytes the image of a sample has; None where one has to read it to know."""
        return None


class FolderSource(Source):
    """Samples that are image files below a root, each known by its path before it is opened.

    Attributes:
        root: folder of the raw files; the bytes of a sample's image are those of its file.
    """

    root: Path

    @abstractmethod
    def path(self, index: int) -> str:
        """Return the path of an image below the root, /-separated."""

    def stored_bytes(self, index: int) -> int | None:
        """Return the size of an image file, bytes; None where it is not to be had."""
        try:
            return os.stat(f"{self.root}/{self.path(index)}").st_size  # noqa: PTH116 - a Path per file costs 3x as much
        except OSError:
            return None


class Entry(NamedTuple):
    """What is known of an image file before it is opened."""

    path: str  # below the root, /-separated
    label: int
    split: SplitName | None = None
    group: str | None = None
    attributes: dict[str, Any] | None = None
    labels: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    text: str = ""


class FileSource(FolderSource):
    """Image files below a root, in the order of their paths."""

    def __init__(
        self,
        root: Path,
        labels: LabelMap,
        entries: Sequence[Entry],
        ignored: Sequence[str] = (),
        findings: Sequence[Finding] = (),
    ) -> None:
        self.root, self.labels, self.ignored, self.findings = root, labels, sorted(ignored), findings
        self.entries = sorted(entries, key=lambda entry: entry.path)
        plain = not any(entry.labels or entry.values or entry.text for entry in self.entries)
        self.sample_labels = [entry.label for entry in self.entries] if plain and labels.classes else None

    def __len__(self) -> int:
        return len(self.entries)

    def path(self, index: int) -> str:
        """Return the path of an image below the root, /-separated."""
        return self.entries[index].path

    def sample(self, index: int) -> Sample:
        """Return one sample with the bytes of its file."""
        entry = self.entries[index]
        return Sample(
            entry.path,
            read_image(self.root, entry.path),
            split=entry.split,
            group=entry.group,
            label=entry.label,
            labels=list(entry.labels),
            values=list(entry.values),
            text=entry.text,
            attributes=entry.attributes or {},
        )


def read_image(root: Path, path: str) -> bytes:
    """Return the bytes of an image file.

    Raises:
        Unreadable: it cannot be opened.
    """
    try:
        return (root / path).read_bytes()
    except OSError as error:
        raise Unreadable(path, f"cannot be opened: {error.strerror}") from None


def require_root(root: Path) -> None:
    """Check that the folder of raw files is there.

    Raises:
        UserError: it is missing or no folder.
    """
    if not root.is_dir() and root.parts[:1] and root.parts[0].startswith("~"):
        whole = f", e.g. {root.expanduser()}" if root.parts[0] == "~" else ""
        raise UserError(f"{root}: ~ is not expanded here; write the full path in `root`{whole}")
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "no such folder"
        raise UserError(f"{root}: {problem}; put the raw files there, or correct `root` in params.yaml")


def refuse(place: object, mistakes: Sequence[str]) -> None:
    """Stop if there are errors, with the first of them.

    Raises:
        UserError: with one line per error, ten at most.
    """
    if mistakes:
        more = [f"{place}: and {len(mistakes) - _TOLD} more errors"] if len(mistakes) > _TOLD else []
        raise UserError([*mistakes[:_TOLD], *more])


def require_two_classes(place: object, labels: LabelMap) -> None:
    """Check that there are at least two classes.

    Raises:
        UserError: fewer than two classes.
    """
    if len(labels) < 2:
        only = f"only one class ({labels.classes[0]})" if labels.classes else "no class"
        raise UserError(
            f"{place}: {only}; classification needs two or more: add images of others, or correct `root`; "
            "or, for defects learned from good images, put these into train/good (docs/anomaly.md)"
        )


def name_of(text: str) -> str:
    """Return a name as it is compared: macOS decomposes accents (NFD), others compose them (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def find_doubtful_names(classes: Sequence[str]) -> list[Finding]:
    """Return a finding for each class that differs from another by case only, or that looks like a missing value."""
    same: dict[str, list[str]] = {}
    for name in classes:
        same.setdefault(name.casefold(), []).append(name)
    findings = [
        Finding("doubtful_class", f"class {own[0]}", f"differs from {', '.join(own[1:])} only in upper and lower case")
        for own in same.values()
        if len(own) > 1
    ]
    missing = [name for name in classes if name.casefold() in _MISSING]
    return findings + [Finding("doubtful_class", f"class {name}", "looks like a missing value") for name in missing]


def visible_folders(folder: Path) -> list[str]:
    """Return the names of the folders directly in `folder`, sorted, without hidden ones."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and not _is_nothing(path.name))
    except OSError as error:
        raise _closed(error) from None


def _is_nothing(name: str) -> bool:
    """Return whether a file or folder is not part of any data set: hidden, or left behind by a system or a tool."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def _closed(error: OSError) -> UserError:
    return UserError(f"{error.filename}: cannot be listed: {error.strerror}; correct its permissions")


def visible_files(folder: Path) -> Iterator[str]:
    """Yield every file below `folder` as a /-separated path relative to it, without hidden ones; follows links.

    What systems and tools leave behind counts as hidden.
    """

    def refuse(error: OSError) -> None:
        raise _closed(error)

    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_nothing(name))
        # A path object per file would take longer than the walk.
        above = (Path(parent).relative_to(folder) / "_").as_posix()[:-1]
        yield from (above + name for name in sorted(names) if not _is_nothing(name))


def is_image(path: str) -> bool:
    """Tell by its suffix whether a file claims to be an image."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - a Path per file costs 3x as much
