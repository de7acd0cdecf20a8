"""One folder per class, with or without folders for train, val and test above or below them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import (
    Entry,
    FileSource,
    find_doubtful_names,
    is_image,
    name_of,
    require_root,
    visible_files,
    visible_folders,
)
from sightline.data.raw.formats.split_words import split_called
from sightline.data.structures import LabelMap, SplitName
from sightline.system.errors import UserError


class _Image(NamedTuple):
    path: str
    name: str  # of its class
    split: SplitName | None


def open_image_folder(root: Path, chosen: Sequence[str] | None = None) -> FileSource:
    """Return the images below `root`; the first folder that is not a split names the class.

    Args:
        root: folder of the raw files.
        chosen: classes that the configuration names; folders of these names are classes, even empty ones and those
            that are called like a split.

    Raises:
        UserError: the root is missing, splits and classes are mixed, or there are no images in class folders.
    """
    require_root(root)
    named = {name_of(name) for name in chosen or ()}
    parts = _parts(root, named)
    folders = {
        f"{part}/{name}" if part else name: name_of(name) for part in parts for name in visible_folders(root / part)
    }
    if not folders:
        raise UserError(f"{root}: no class folders{_loose(root)}; put the images of each class into a separate folder")
    images, ignored = _images(root, parts, folders)
    if not images:
        names = sorted(set(folders.values()))
        raise UserError(f"{root}: no images in the class folders ({_some(names)}); expected .jpg, .png or the like")
    used = {image.name for image in images}
    classes = tuple(sorted(used | named & set(folders.values())))
    _require_classes(root, classes)
    number = {name: label for label, name in enumerate(classes)}
    entries = [Entry(image.path, number[image.name], image.split) for image in images]
    empty = [
        Finding("empty_class", folder, "no images in it")
        for folder, name in folders.items()
        if name not in used and name not in named
    ]
    loose = [Finding("loose", path, "is in no class folder") for path in ignored if is_image(path)]
    others = [path for path in ignored if not is_image(path)]
    findings = [*empty, *loose, *find_doubtful_names(classes)]
    return FileSource(root, LabelMap(classes, classes), entries, others, findings)


def _images(root: Path, parts: dict[str, SplitName | None], folders: dict[str, str]) -> tuple[list[_Image], list[str]]:
    """Return the images with class and split, and the other files.

    Raises:
        UserError: some images of the classes are in folders of splits, and others are not.
    """
    images, ignored, inner = list[_Image](), list[str](), dict[str, SplitName | None]()
    for path in visible_files(root):
        first = path.partition("/")[0]
        part = first if first in parts else ""
        name, below, rest = path[len(part) + 1 if part else 0 :].partition("/")
        folder = f"{part}/{name}" if part else name
        if not below or folder not in folders or not is_image(path):
            ignored.append(path)
            continue
        images.append(_Image(path, folders[folder], parts.get(part)))
        if "" in parts:
            inner[path] = split_called(rest.partition("/")[0]) if "/" in rest else None
    if not any(inner.values()):
        return images, ignored
    loose = next((path for path, split in inner.items() if split is None), None)
    if loose is not None:
        divided = next(path for path, split in inner.items() if split is not None)
        raise UserError(
            f"{root}: mixed layout: {divided} is in the folder of a split, {loose} is not; "
            "put all images of the classes into folders for train, val and test, or none"
        )
    return [image._replace(split=inner[image.path]) for image in images], ignored


def _parts(root: Path, named: set[str]) -> dict[str, SplitName | None]:
    """Return the folders that hold class folders, each with its split; {"": None} where the data set has no split."""
    folders = visible_folders(root)
    called = {name: split_called(name) for name in folders}
    for name in folders:
        if name_of(name) in named and not named & set(map(name_of, visible_folders(root / name))):
            called[name] = None  # a class that is called like a split
    splits = [name for name in folders if called[name]]
    others = [name for name in folders if not called[name]]
    if not splits:
        return {"": None}
    if others:
        words = f"[{', '.join(sorted({*others, *splits})[:4])}{', ...' if len(folders) > 4 else ''}]"
        raise UserError(
            f"{root}: mixed layout: {_some(splits)} next to {_some(others)}; "
            "keep either class folders only, or train/, val/ and test/ with class folders inside; "
            f"where {splits[0]} is a class, name all classes in params.yaml: `classes: {words}`"
        )
    parts: dict[str, SplitName | None] = {}
    for name in splits:
        split = called[name]
        if split in parts.values():
            raise UserError(f"{root}: {_some(splits)} are the same split; merge them into {split}/")
        parts[name] = split
    return parts


def _require_classes(root: Path, classes: Sequence[str]) -> None:
    """Check that a single class is not a folder around the whole data set, as archives have it."""
    inside = visible_folders(root / classes[0]) if len(classes) == 1 and (root / classes[0]).is_dir() else []
    if len(inside) > 1 and not any(is_image(path.name) for path in (root / classes[0]).iterdir()):
        raise UserError(
            f"{root}: only the class {classes[0]!r}, with {_some(inside)} inside; "
            f"if those are the classes or splits, set `root: {root / classes[0]}`"
        )


def _loose(root: Path) -> str:
    count = sum(is_image(path) for path in visible_files(root))
    return f", but {count} images outside of them" if count else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"{name}/" for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
