"""One folder per class, with or without train/, val/ and test/ above them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.data.formats.source import (
    Entry,
    FileSource,
    is_image,
    require_root,
    visible_files,
    visible_folders,
)
from sightline.errors import UserError
from sightline.structures import LabelMap, SplitName

SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def open_image_folder(root: Path) -> FileSource:
    """Return the images below `root`; the first folder that is no split names the class.

    Raises:
        UserError: the root is missing, splits and classes are mixed, or there are no images of two classes.
    """
    require_root(root)
    parts = _parts(root)
    names = {name for folder in parts for name in visible_folders(root / folder)}
    if not names:
        raise UserError(
            f"{root}: no class folders{_loose(root)}; put the images of each class into a folder of its own"
        )
    classes = tuple(sorted(names))
    labels = LabelMap(classes, classes)
    number = {name: label for label, name in enumerate(classes)}
    entries, ignored = [], []
    for path in visible_files(root):
        folder = _folder(path, parts)
        split, inner = parts.get(folder), path[len(folder) + 1 :] if folder else path
        name, below, _ = inner.partition("/")
        if below and name in number and is_image(path):
            entries.append(Entry(path, number[name], split))
        else:
            ignored.append(path)
    if not entries:
        raise UserError(f"{root}: no images in the class folders ({_some(classes)}); expected .jpg, .png or the like")
    return FileSource(root, labels, entries, ignored)


def _parts(root: Path) -> dict[str, SplitName | None]:
    """Return the folders that hold class folders, each with its split; {"": None} where the data set has no split."""
    folders = visible_folders(root)
    splits = [name for name in folders if name.lower() in SPLIT_FOLDERS]
    others = [name for name in folders if name.lower() not in SPLIT_FOLDERS]
    if not splits:
        return {"": None}
    if others:
        raise UserError(
            f"{root}: mixed layout: {_some(splits)} beside {_some(others)}; "
            "keep either class folders only, or train/, val/ and test/ with class folders inside"
        )
    parts: dict[str, SplitName | None] = {}
    for name in splits:
        split = SPLIT_FOLDERS[name.lower()]
        if split in parts.values():
            raise UserError(f"{root}: {_some(splits)} hold the same split twice; merge them into {split}/")
        parts[name] = split
    return parts


def _folder(path: str, parts: dict[str, SplitName | None]) -> str:
    first = path.partition("/")[0]
    return first if first in parts else ""


def _loose(root: Path) -> str:
    count = sum(is_image(path) for path in visible_files(root))
    return f", but {count} images outside of any" if count else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"{name}/" for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
