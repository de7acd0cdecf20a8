"""Signs of COCO, VIA, Pascal VOC, YOLO and DOTA: the annotation files, and where their images are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.data.raw.formats.dota import HEADERS, read_dota_row
from sightline.data.raw.formats.pairing import without_suffix
from sightline.data.raw.formats.split_words import split_called
from sightline.data.raw.recognition.listing import Listing
from sightline.data.raw.recognition.proposal import Proposal
from sightline.data.structures import SplitName

_ASKED = 50  # names of images that decide which folder they are in
_MOST_CLASSES = 200  # values of an attribute, more are no classes


def propose_coco(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal for each group of COCO files that does not repeat a split."""
    names: dict[str, list[str]] = {}
    for path in files.ending(".json"):
        values = _read(files.root / path)
        if isinstance(values, dict) and _are_mappings(values, "images", "annotations", "categories"):
            listed = [image.get("file_name") for image in values["images"][:_ASKED]]
            names[path] = [name for name in listed if isinstance(name, str)]
    for group in groups_of_splits(names):
        folders = {path: _folder_of(files, path, names[path]) for path in group.values()}
        several = len(group) > 1
        annotations: Any = {str(split): path for split, path in group.items()} if several else next(iter(folders))
        images: Any = next(iter(folders.values()))
        if several and len(set(folders.values())) > 1:
            images = {str(split): folders[path] for split, path in group.items()}
        section = {"format": "coco", "annotations": annotations, "images": images}
        yield Proposal(section, f"COCO annotations in {_listed(group.values())}")


def propose_via(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal for each JSON file of the VGG Image Annotator and each attribute that may be the class."""
    for path in files.ending(".json"):
        values = _read(files.root / path)
        if not isinstance(values, dict):
            continue
        entries = values.get("_via_img_metadata", values)
        entries = list(entries.values()) if isinstance(entries, dict) else []
        if not entries or not all(isinstance(one, dict) and "regions" in one for one in entries):
            continue
        names = [str(one.get("filename")) for one in entries[:_ASKED]]
        section = {"format": "via", "annotations": path, "images": _folder_of(files, path, names)}
        attributes = _attributes(entries)
        choices: list[str | None] = [*attributes] or [None]
        for attribute in choices:
            more = {"attribute": attribute} if attribute else {}
            kinds = f", classes in the attribute {attribute!r}" if attribute else ""
            yield Proposal(section | more, f"regions of the VGG Image Annotator in {path}{kinds}")


def propose_voc(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal where XML files are named after images."""
    stems = {PurePosixPath(path).stem for path in files.ending(".xml")}
    count = sum(PurePosixPath(path).stem in stems for path in files.images)
    if count:
        yield Proposal({"format": "voc"}, f"{count} images with XML files of their names, as Pascal VOC has them", True)


def propose_yolo(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal where text files named after images begin with rows of numbers."""
    texts = {PurePosixPath(path).stem: path for path in files.ending(".txt")}
    paired = [texts[stem] for path in files.images if (stem := PurePosixPath(path).stem) in texts]
    rows = [row for path in paired[:_ASKED] for row in _rows(files.root / path)]
    if paired and rows and all(_is_row(row) for row in rows):
        seen = f"{len(paired)} images with text files of numbers of their names, as YOLO has them"
        yield Proposal({"format": "yolo"}, seen, True)


def propose_dota(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal where text files named after images hold corners and names of classes."""
    texts = {PurePosixPath(path).stem: path for path in files.ending(".txt")}
    paired = [texts[stem] for path in files.images if (stem := PurePosixPath(path).stem) in texts]
    rows = [row.split() for path in paired[:_ASKED] for row in _rows(files.root / path)]
    objects = [row for row in rows if row[0].partition(":")[0].lower() not in HEADERS]
    if objects and not any(isinstance(read_dota_row("", row), str) for row in objects):
        seen = f"{len(paired)} images with text files of corners and classes of their names, as DOTA has them"
        yield Proposal({"format": "dota"}, seen, True)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # the reader of the format reports why, if it is asked for it


def _are_mappings(values: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(values.get(name), list) and all(map(_is_mapping, values[name])) for name in names)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def groups_of_splits(names: Mapping[str, Sequence[str]]) -> Iterator[dict[SplitName | None, str]]:
    """Yield files that belong together: one per split, of the same kind; a file alone stands for all.

    COCO calls them KIND_SPLITYEAR.json; Roboflow puts one of the same name into a folder per split.
    """
    kinds: dict[str, dict[SplitName | None, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in names:
        split, kind = _split_and_kind(path)
        kinds[kind][split].append(path)
    for by_split in kinds.values():
        if len(by_split) > 1 and None not in by_split and all(len(paths) == 1 for paths in by_split.values()):
            yield {split: paths[0] for split, paths in by_split.items()}
        else:
            for path in (path for paths in by_split.values() for path in paths):
                yield {None: path}


def _split_and_kind(path: str) -> tuple[SplitName | None, str]:
    parts = list(PurePosixPath(without_suffix(path)).parts)
    words = parts[-1].replace("-", "_").split("_")
    for place, word in enumerate(words):
        if split := split_called(word):
            return split, "/".join([*parts[:-1], "_".join(words[:place] + words[place + 1 :])])
    for place, folder in enumerate(parts[:-1]):
        if split := split_called(folder):
            return split, "/".join(parts[:place] + parts[place + 1 :])
    return None, "/".join(parts)


def _folder_of(files: Listing, file: str, names: Sequence[str]) -> str:
    """Return the folder that most images of an annotation file are in, "." where none has any of them."""
    base = {PurePosixPath(name.replace("\\", "/")).name for name in names}
    here = PurePosixPath(file).parent.as_posix()
    full = set(files.images)
    above = {parent.as_posix() for folder in files.by_folder for parent in PurePosixPath(folder).parents}
    candidates = {".", *files.by_folder, *above}

    def count(folder: str) -> tuple[int, int, bool, int]:
        as_written = sum(PurePosixPath(folder, name).as_posix() in full for name in names)
        inside = sum(PurePosixPath(path).name in base for path in files.by_folder.get(folder, ()))
        return as_written, inside, folder == here, -len(folder)

    return max(sorted(candidates), key=count)


def _attributes(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the region attributes that every region has, with few values."""
    values: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    regions = 0
    for entry in entries:
        given = entry.get("regions") or []
        for region in given.values() if isinstance(given, dict) else given:
            regions += 1
            own = region.get("region_attributes") if isinstance(region, dict) else None
            for name, value in (own or {}).items():
                if isinstance(value, dict) or (isinstance(value, str) and value.strip()):
                    values[name].add(str(value))
                    counts[name] += 1
    most = max(2, min(_MOST_CLASSES, regions // 2))
    return [name for name in values if counts[name] == regions and len(values[name]) <= most]


def _rows(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError):
        return []


def _is_row(row: str) -> bool:
    cells = row.split()
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return False
    return len(cells) >= 5 and numbers[0] >= 0 and numbers[0] == int(numbers[0])


def _listed(paths: Any) -> str:
    names = sorted(paths)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
