"""What YOLO's data.yaml, obj.data or lists of names say: the classes, the parts of the split, the key points."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.config.reader import parse_mapping
from sightline.data.raw.formats.annotated import class_name, mirrored
from sightline.data.raw.formats.pairing import Places
from sightline.data.raw.formats.source import visible_files
from sightline.data.raw.formats.text import require_text
from sightline.data.structures import SplitName
from sightline.system.errors import UserError

LISTS = frozenset({"classes.txt", "predefined_classes.txt", "obj.names", "_darknet.labels"})
_TABLE = "data.yaml"
_PARTS: dict[str, SplitName] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Points:
    """Key points of each object.

    Attributes:
        names: as far as they are reported, else their numbers.
        mirrored: the number of each one's mirror image, empty where that is not known.
        numbers: how many numbers a key point has: x, y, and visibility where there are three.
    """

    names: tuple[str, ...]
    mirrored: tuple[int, ...]
    numbers: int


@dataclass(frozen=True)
class Description:
    """What is said of a data set as a whole.

    Attributes:
        place: the file that says it, below the root.
        names: the classes by their numbers.
        parts: folders and lists of each part, as they are written.
        base: folder that those are relative to, as it is written.
        points: key points, where rows have some.
    """

    place: str
    names: dict[int, str]
    parts: dict[SplitName, list[str]] = field(default_factory=dict)
    base: str = ""
    points: Points | None = None


def describe(root: Path, paths: Collection[str]) -> Description:
    """Return what the files below `root` say of the whole.

    Raises:
        UserError: the classes are named nowhere, or by several files, or cannot be read.
    """
    found = _found(root, paths)
    if found is None:
        raise UserError(f"{root}: no data.yaml and no classes.txt; name the classes in one of them")
    return found


def is_described(root: Path) -> bool:
    """Return whether some file below `root` names the classes, be it a broken one."""
    try:
        return _found(root, list(visible_files(root))) is not None
    except UserError:
        return True


def _found(root: Path, paths: Collection[str]) -> Description | None:
    tables = [path for path in paths if path.lower().endswith((".yaml", ".yml"))]
    table = _table(root, tables)
    if table is not None and "names" in table[1]:
        return _from_table(root, *table)
    named = _darknet(root, paths) or _lists(root, paths)
    if table is None or named is None:
        return named
    return _from_table(root, *table, named.names)


def names_only(root: Path) -> str:
    """Return a data.yaml with what that of `root` says of classes and key points; its split is that of other files."""
    found = describe(root, list(visible_files(root)))
    values: dict[str, Any] = {"names": {str(number): name for number, name in found.names.items()}}
    if found.points is not None:
        values["kpt_shape"] = [len(found.points.names), found.points.numbers]
        values["kpt_names"] = list(found.points.names)
        values |= {"flip_idx": list(found.points.mirrored)} if found.points.mirrored else {}
    return json.dumps(values, ensure_ascii=False) + "\n"  # which is YAML too


def _table(root: Path, tables: Collection[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the YAML file nearest to the root that describes a data set: data.yaml before others."""
    read: dict[str, dict[str, Any]] = {}
    for path in tables:
        try:
            values = parse_mapping(root / path, require_text(root / path), as_written=True)
        except UserError:
            if _is_table(path) or len(tables) == 1:
                raise
            continue
        if values.keys() & {"names", *_PARTS}:
            read[path] = values
    ranked = sorted(read, key=lambda path: (path.count("/"), not _is_table(path), "names" not in read[path], path))
    if not ranked:
        return None
    first = ranked[0]
    rivals = [path for path in ranked if path.count("/") == first.count("/") and "names" in read[path]]
    if not _is_table(first) and len(rivals) > 1:
        raise UserError(f"{root}: {', '.join(rivals)} name classes; keep one, or call it {_TABLE}")
    return first, read[first]


def _is_table(path: str) -> bool:
    return PurePosixPath(path).name.lower() in (_TABLE, "data.yml")


def _from_table(root: Path, place: str, values: Mapping[str, Any], names: dict[int, str] | None = None) -> Description:
    """Return what a YAML file says, with `names` of another file where it names no classes."""
    file = root / place
    named = _named(file, values["names"]) if names is None else names
    count = values.get("nc")
    if isinstance(count, str) and count.isdigit() and int(count) not in (len(named), max(named) + 1):
        raise UserError(f"{file}: nc: is {count}, but names has {len(named)}; make them match")
    parts: dict[SplitName, list[str]] = {}
    for key, part in _PARTS.items():
        value = values.get(key) or []
        written = [value] if isinstance(value, str) else value
        if not isinstance(written, list) or not all(isinstance(one, str) for one in written):
            raise UserError(f"{file}: {key}: is {value!r}, expected a folder, a list of images, or several of these")
        kept = [one for one in written if one not in ("", "~", "null", "None")]
        if kept:
            parts.setdefault(part, kept)
    base = values.get("path") or ""
    if not isinstance(base, str):
        raise UserError(f"{file}: path: is {base!r}, expected a folder")
    return Description(place, named, parts, base, _points(file, values))


def _named(file: Path, names: Any) -> dict[int, str]:
    """Return class names by number; empty ones leave out their number."""
    given = {str(number): name for number, name in enumerate(names)} if isinstance(names, list) else names
    if not isinstance(given, dict) or not all(key.isdigit() and isinstance(name, str) for key, name in given.items()):
        raise UserError(f"{file}: names: is {names!r}, expected a list of class names or NUMBER: NAME pairs")
    named = {int(key): class_name(name) for key, name in given.items() if class_name(name)}
    if not named:
        raise UserError(f"{file}: has no classes; give a name per number")
    repeated = [name for name, count in Counter(named.values()).items() if count > 1]
    if repeated:
        raise UserError(f"{file}: names: {repeated[0]!r} occurs twice; give each class a different name")
    return dict(sorted(named.items()))


def _points(file: Path, values: Mapping[str, Any]) -> Points | None:
    shape = values.get("kpt_shape")
    if not shape:
        return None
    if not _are_whole(shape) or len(shape) != 2 or int(shape[1]) not in (2, 3) or int(shape[0]) < 1:
        raise UserError(f"{file}: kpt_shape: is {shape!r}, expected [number of key points, 2 or 3 numbers of each]")
    count = int(shape[0])
    given = values.get("kpt_names") or [str(number) for number in range(count)]
    names = next(iter(given.values()), None) if isinstance(given, dict) else given  # of the first class
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not isinstance(names, list) or not good or not len(names) == len(set(names)) == count:
        raise UserError(f"{file}: kpt_names: is {given!r}, expected {count} different names")
    pairs = values.get("flip_idx") or []
    if pairs and (not _are_whole(pairs) or sorted(map(int, pairs)) != list(range(count))):
        raise UserError(f"{file}: flip_idx: is {pairs!r}, expected each of the numbers 0 to {count - 1} once")
    return Points(tuple(names), tuple(map(int, pairs)) or mirrored(names), int(shape[1]))


def _are_whole(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) and one.isdigit() for one in values)


def _darknet(root: Path, paths: Collection[str]) -> Description | None:
    """Return what obj.data says: `names`, `train` and `valid` are paths."""
    files = sorted((path for path in paths if path.lower().endswith(".data")), key=lambda path: path.count("/"))
    for file in files:
        lines = [line.partition("=") for line in require_text(root / file).splitlines()]
        values = {key.strip().lower(): value.strip() for key, mark, value in lines if mark}
        folder = PurePosixPath(file).parent.as_posix()
        names = Places(paths).find(values.get("names", ""), (folder, "")) if values.get("names") else None
        if names is not None:
            parts = {part: [values[key]] for key, part in _PARTS.items() if values.get(key)}
            return Description(file, _listed(root / names), parts)
    return None


def _lists(root: Path, paths: Collection[str]) -> Description | None:
    """Return the names of classes.txt or its like nearest to the root; labelImg writes one into each folder."""
    found = [path for path in paths if is_name_list(path)]
    nearest = [path for path in found if path.count("/") == min(other.count("/") for other in found)]
    named = {path: _listed(root / path) for path in nearest}
    first = next(iter(named), None)
    if first is None:
        return None
    other = next((path for path in nearest if named[path] != named[first]), None)
    if other is not None:
        raise UserError(f"{root / other}: its classes differ from those in {first}; keep one of the two files")
    return Description(first, named[first])


def is_name_list(path: str) -> bool:
    """Return whether a file is called like one that lists class names."""
    name = PurePosixPath(path).name.lower()
    return name in LISTS or name.endswith(".names")


def _listed(file: Path) -> dict[int, str]:
    return _named(file, [line.strip() for line in require_text(file).splitlines()])
