"""The split that lists of Pascal VOC give: ImageSets/Main/train.txt and its like, one image per line."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.given_split import GivenSplit, require_known
from sightline.data.raw.formats.pairing import Places, without_suffix
from sightline.data.raw.formats.source import is_image
from sightline.data.raw.formats.text import require_text
from sightline.data.structures import SplitName

_PARTS = {"train": "train", "trainval": "trainval", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_WORD = re.compile(r"(.*?)(?:_?list)?")


def read_lists(root: Path, paths: Collection[str], images: Collection[str], batch: bool) -> GivenSplit:
    """Return the parts that lists give; trainval stands for the one of train and val that has no list.

    Args:
        root: of the data set.
        paths: all files below the root.
        images: those that may be named.
        batch: whether lists may name images that are not there.

    Raises:
        UserError: a list names no image, or two lists name the same one.
    """
    split = GivenSplit(root)
    lists = _lists(paths)
    reader = _Reader(root, images, split, batch)
    read = {part: {image: place for list_ in own for image, place in reader.read(list_)} for part, own in lists.items()}
    both = read.pop("trainval", {})
    if both and not read.get("train"):
        read["train"] = {image: place for image, place in both.items() if image not in read.get("val", {})}
    elif both and not read.get("val"):
        read["val"] = {image: place for image, place in both.items() if image not in read["train"]}
    for part in _SPLITS:
        for image, place in read.get(part, {}).items():
            split.add(part, image, place)
    split.settle()
    if not lists:
        split.findings += [
            Finding("given_split", path, "ignored: lists must be named train, trainval, val or test")
            for path in paths
            if _is_main(path)
        ]
    return split


_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


def _lists(paths: Collection[str]) -> dict[str, list[str]]:
    """Return the lists of each part: of ImageSets/Main, else of ImageSets, else those next to the folders of images.

    Lists per class (cat_train.txt, all images with 1, 0 or -1) count where there are no others.
    """
    texts = [path for path in paths if path.lower().endswith(".txt")]
    places: tuple[Callable[[str], bool], ...] = (_is_main, _is_in_sets, _is_at_top)
    for is_in_place in places:
        inside = [path for path in texts if is_in_place(path)]
        whole, per_class = defaultdict(list), defaultdict(list)
        for path in inside:
            stem = PurePosixPath(path).stem.lower()
            word = _WORD.fullmatch(stem)
            part = _PARTS.get(word.group(1) if word else stem)
            of_class = _PARTS.get(stem.rpartition("_")[2])
            if part is not None:
                whole[part].append(path)
            elif of_class is not None and not _is_at_top(path):
                per_class[of_class].append(path)
        if whole or per_class:
            return whole or per_class
    return {}


def _is_main(path: str) -> bool:
    return path.lower().endswith(".txt") and PurePosixPath(path.lower()).parts[-3:-1] == ("imagesets", "main")


def _is_in_sets(path: str) -> bool:
    return PurePosixPath(path.lower()).parts[-2:-1] == ("imagesets",)


def _is_at_top(path: str) -> bool:
    return "/" not in path


class _Reader:
    def __init__(self, root: Path, images: Collection[str], split: GivenSplit, batch: bool) -> None:
        self.root, self.split, self.batch = root, split, batch
        self.images = Places(images)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            self.by_stem[without_suffix(image)].append(image)
        self.stems = Places(self.by_stem)
        folders = {parent.as_posix() for image in images for parent in PurePosixPath(image).parents}
        self.folders = sorted(folders, key=lambda folder: (folder.count("/"), folder))

    def read(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the images that a list names, each with file and line."""
        base = "" if _is_at_top(path) else path.lower().rpartition("imagesets/")[0]
        inside = [folder for folder in self.folders if f"{folder}/".lower().startswith(base)]
        known, unknown = 0, dict[int, str]()
        for number, line in enumerate(require_text(self.root / path).splitlines(), 1):
            if not line.strip():
                continue
            found = self._named(line.strip(), inside)
            known += len(found)
            if not found:
                unknown[number] = line.strip()
            yield from ((image, f"{path}: line {number}") for image in found)
        if not self.batch:
            require_known(f"{self.root}/{path}", unknown, known)
        told = "there is no such image"
        self.split.findings += [
            Finding("unreadable", entry, f"{path}: line {number}: {told}") for number, entry in unknown.items()
        ]

    def _named(self, line: str, bases: Collection[str]) -> list[str]:
        """Return the images that a line means: all of it, or what stands before a blank or comma, as in `1 -1`."""
        for entry in dict.fromkeys((line, re.split(r"[\s,;]", line)[0])):
            image = self.images.find(entry, bases)
            if image is not None:
                return [image]
            stem = without_suffix(entry) if is_image(entry) or entry.lower().endswith(".xml") else entry
            found = self.stems.find(stem, bases)
            if found is not None:
                return self.by_stem[found]
        return []
