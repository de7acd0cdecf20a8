"""Signs of masks: folders of pictures of few values that are named after other pictures."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from sightline.data.raw.formats.given_split import split_of
from sightline.data.raw.formats.mask_files import read_mask
from sightline.data.raw.formats.mask_pairs import MaskedImage
from sightline.data.raw.formats.pairing import without_suffix
from sightline.data.raw.formats.source import Unreadable, is_image
from sightline.data.raw.recognition.listing import Listing
from sightline.data.raw.recognition.proposal import Proposal

_LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".gif")
_WORDS = re.compile(r"mask|label|annot|segm|gt|ground.?truth|class", re.IGNORECASE)
_LOOKED_AT = 12  # masks that decide whether they are masks
_READ = 1000  # masks whose values are collected, evenly drawn
_MOST_VALUES = 64  # of one mask; photographs have more
_MOST_UNNAMED = 32  # of all masks together, where their folder is not called after masks
_NAME_LISTS = ("classes.txt", "labels.txt", "names.txt", "class_names.txt", "categories.txt")
_VOID = ("void", "unlabelled", "unlabeled", "ignore", "ignored", "unknown")
# SegNet's copy of CamVid (Badrinarayanan, Kendall and Cipolla 2017) names its folders so, and has no list of names.
_CAMVID = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
    "void",
)


@dataclass(frozen=True)
class _Pair:
    """A folder of images, the folder of their masks, and what a mask's name has after its image's."""

    images: str
    masks: str
    suffix: str
    files: tuple[str, ...]  # the masks


@dataclass(frozen=True)
class _Values:
    """What masks hold: all values, whether they are colours, and whether each value may be one object."""

    all: tuple[int, ...]
    colours: bool
    objects: bool


def propose_masks(files: Listing) -> Iterator[Proposal]:
    """Yield proposals of classes, of objects, or of both where the masks may be either."""
    pairs = [pair for pair in _pairs(files) if _are_masks(files.root, pair)]
    if not pairs:
        return
    splits = {split_of(f"{pair.images}/x") or split_of(f"{pair.masks}/x"): pair for pair in pairs}
    if len(splits) < len(pairs) or len({pair.suffix for pair in pairs}) > 1:
        pairs = [max(pairs, key=lambda pair: len(pair.files))]
        splits = {None: pairs[0]}
    layout: dict[str, Any] = {"images": pairs[0].images, "masks": pairs[0].masks}
    if len(splits) > 1:
        layout = {
            "images": {str(split): pair.images for split, pair in splits.items()},
            "masks": {str(split): pair.masks for split, pair in splits.items()},
        }
    suffix = {"mask_suffix": pairs[0].suffix}
    values = _values(files.root, [file for pair in pairs for file in pair.files])
    count = sum(len(pair.files) for pair in pairs)
    where = ", ".join(f"{pair.masks}/" for pair in pairs[:3])
    if values.objects and not values.colours:
        yield Proposal(
            {"format": "instance_masks", **layout, **suffix},
            f"{count} masks in {where}, each value one connected region, numbered from 1 in each",
        )
    if not values.objects or len(values.all) < _MOST_VALUES:
        names, notes = _named(files, values, pairs)
        kind = f"{len(values.all)} {'colours' if values.colours else 'values'}"
        yield Proposal(
            {"format": "mask_folder", **layout, **(suffix if pairs[0].suffix else {}), **names},
            f"{count} masks of {kind} in {where}",
            notes=tuple(notes),
        )


def _pairs(files: Listing) -> Iterator[_Pair]:
    """Yield the best folder of images for each folder whose pictures are all named after those of another one."""
    stems = {folder: {PurePosixPath(path).stem for path in paths} for folder, paths in files.by_folder.items()}
    taken: set[str] = set()
    ranked = sorted(stems, key=lambda folder: (not _WORDS.search(folder), folder))
    for folder in ranked:
        paths = [path for path in files.by_folder[folder] if path.lower().endswith(_LOSSLESS)]
        if not paths:
            continue
        mine = stems[folder]
        best: tuple[int, bool, str, str] | None = None
        for other, theirs in stems.items():
            if other in taken:
                continue
            suffix = _suffix(theirs, {PurePosixPath(path).stem for path in paths}, other == folder)
            if suffix is None:
                continue
            matched = sum(f"{stem}{suffix}" in mine for stem in theirs)
            key = (matched, split_of(f"{other}/x") == split_of(f"{folder}/x"), other, suffix)
            best = max(best, key) if best else key
        if best and 2 * best[0] > len(stems[best[2]]) / (2 if best[2] == folder else 1):
            masks = tuple(path for path in paths if without_suffix(PurePosixPath(path).name).endswith(best[3]))
            taken.add(folder)
            yield _Pair(best[2], folder, best[3], masks)


def _suffix(images: set[str], masks: set[str], same: bool) -> str | None:
    """Return what the names of masks have after those of images, None if they do not match."""
    if images & masks and not same:
        return ""
    ends = Counter(
        mask[len(image) :]
        for mask in sorted(masks)[:50]
        for cut in range(1, len(mask))
        if (image := mask[:cut]) in images
    )
    return ends.most_common(1)[0][0] if ends else None


def _are_masks(root: Path, pair: _Pair) -> bool:
    """Return whether pictures are masks: of few values, and called so or unlike the pictures that they belong to."""
    values = _few_values(root, _evenly(pair.files, _LOOKED_AT))
    if values is None:
        return False
    if _WORDS.search(PurePosixPath(pair.masks).name) or _WORDS.search(pair.suffix):
        return True
    if pair.masks == pair.images or len(values) > _MOST_UNNAMED:
        return False
    files = sorted(path for path in (root / pair.images).iterdir() if is_image(path.name))
    images = [path.relative_to(root).as_posix() for path in files]
    return _few_values(root, _evenly(images, _LOOKED_AT)) is None


def _few_values(root: Path, paths: Sequence[str]) -> set[int] | None:
    """Return the values of pictures that have few each, None where one has many."""
    found: set[int] = set()
    for path in paths:
        try:
            own = np.unique(_mask(root, path, _is_colour(root / path)))
        except Unreadable:
            return None
        if len(own) > _MOST_VALUES:
            return None
        found |= set(own.tolist())
    return found


def _mask(root: Path, path: str, colours: bool) -> Any:
    return read_mask(root, MaskedImage(path, path, None), colours)


def _is_colour(path: Path) -> bool:
    """Return whether a mask has colours of its own; a palette's are pictures of numbers."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("RGB", "RGBA"):
                return False
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
    return bool((red != green).any() or (green != blue).any())


def _values(root: Path, masks: Sequence[str]) -> _Values:
    from scipy.ndimage import label

    drawn = _evenly(masks, _READ)
    colours = any(_is_colour(root / path) for path in _evenly(masks, _LOOKED_AT))
    found: set[int] = set()
    objects, counts = True, set[int]()
    for path in drawn:
        try:
            mask = _mask(root, path, colours)
        except Unreadable:
            continue  # `prepare` reports it
        present = [int(value) for value in np.unique(mask)]
        found |= set(present)
        own = [value for value in present if value]
        counts.add(len(own))
        objects = objects and own == list(range(1, len(own) + 1))
        if objects and len(counts) < 3 and own:  # whole regions, looked at where numbers alone do not tell
            objects = sum(label(mask == value)[1] > 1 for value in own) <= len(own) // 2
    return _Values(tuple(sorted(found)), colours, objects and len(counts) > 1 and max(counts, default=0) > 1)


def _evenly(items: Sequence[str], most: int) -> list[str]:
    step = max(1, len(items) / most)
    return [items[int(place * step)] for place in range(min(most, len(items)))]


def _named(files: Listing, values: _Values, pairs: Sequence[_Pair]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the keys `names` and `ignore_index`, and where they come from."""
    coded = _colour_table(files)
    if values.colours:
        known = {f"#{colour:06x}": name for colour, name in coded.items()}
        wanted = [f"#{value:06x}" for value in values.all]
        void = [colour for colour in wanted if known.get(colour, "").lower() in _VOID]
        names = {known.get(colour, f"colour_{colour[1:]}"): colour for colour in wanted if colour not in void}
        note = "from the table of colours" if coded else "named by their colours; give them their names"
        return {"names": names, **({"ignore_index": void} if void else {})}, [("names", note)]
    listed = _listed_names(files)
    numbers = [value for value in values.all if value != 255 or values.all == (0, 255)]
    if values.all in ((0, 255), (0, 1)):
        return {"names": {"background": 0, "object": values.all[1]}}, [("names", "masks of two values")]
    if listed and max(numbers) < len(listed):
        note = "from the list of classes"
    elif any(PurePosixPath(pair.masks).name == "trainannot" for pair in pairs) and max(numbers) < len(_CAMVID):
        listed, note = list(_CAMVID), "as in SegNet's CamVid, whose folders have these names; correct them if it is not"
    else:
        numbered = {f"class_{number}": number for number in numbers}
        return {"names": numbered}, [
            (
                "names",
                "the values of the masks; give them their names, and name those that mean nothing in ignore_index",
            )
        ]
    unlearned = [number for number, name in enumerate(listed) if name.lower() in _VOID]
    learned = {name: number for number, name in enumerate(listed) if number not in unlearned}
    ignored = unlearned[0] if len(unlearned) == 1 else unlearned
    return {"names": learned, **({"ignore_index": ignored} if unlearned else {})}, [("names", note)]


def _listed_names(files: Listing) -> list[str]:
    for path in files.paths:
        if PurePosixPath(path).name.lower() in _NAME_LISTS:
            try:
                lines = (files.root / path).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, ValueError):
                continue
            names = [line.strip() for line in lines if line.strip()]
            if len(set(names)) == len(names):
                return names
    return []


def _colour_table(files: Listing) -> dict[int, str]:
    """Return names by colour out of a table `name,r,g,b` or lines `r g b name`."""
    for path in files.ending(".csv", ".txt"):
        if not re.search(r"class|colou?r|label", PurePosixPath(path).name, re.IGNORECASE):
            continue
        try:
            text = (files.root / path).read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            continue
        found: dict[int, str] = {}
        for row in csv.reader(StringIO(re.sub(r"[ \t]+", ",", text) if path.lower().endswith(".txt") else text)):
            cells = [cell.strip() for cell in row if cell.strip()]
            bytes_ = [int(cell) for cell in cells if cell.isdigit() and int(cell) < 256]
            names = [cell for cell in cells if not cell.isdigit()]
            if len(bytes_) == 3 and names:
                found[(bytes_[0] << 16) | (bytes_[1] << 8) | bytes_[2]] = names[0]
        if found:
            return found
    return {}
