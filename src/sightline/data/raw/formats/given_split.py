"""The split that a data set brings: lists and folders, each followed or refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import refuse
from sightline.data.raw.formats.split_words import split_called
from sightline.data.structures import SPLITS, SplitName
from sightline.system.errors import UserError


class GivenSplit:
    """Which images the files of a data set put into which part.

    Args:
        root: of the data set, for messages.

    Attributes:
        parts: the images of each part that is given, each with the file and line (or key) that says so.
        findings: images that a list names and that are not there; parts that are not followed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parts: dict[SplitName, dict[str, str]] = {}
        self.findings: list[Finding] = []

    def add(self, part: SplitName, image: str, place: str) -> None:
        """Put an image into a part, as `place` says."""
        self.parts.setdefault(part, {}).setdefault(image, place)

    def settle(self) -> None:
        """Leave out parts that only repeat another one, as a file with `train: images` and `val: images` does.

        Raises:
            UserError: an image is in two parts.
        """
        for part in SPLITS[::-1]:
            own = self.parts.get(part, {})
            twin = next((other for other in SPLITS[: SPLITS.index(part)] if own.keys() == self._images(other)), None)
            if own and twin is not None:
                file = next(iter(own.values())).partition(": ")[0]
                told = f"{part} lists the same images as {twin}, so it is taken from train instead"
                self.findings.append(Finding("given_split", file, told))
                del self.parts[part]
        first: dict[str, tuple[SplitName, str]] = {}
        mistakes = []
        for part, images in self.parts.items():
            for image, place in images.items():
                other, elsewhere = first.setdefault(image, (part, place))
                if other != part:
                    told = f"{place}: {image} is in {other} too ({elsewhere}); keep it in one of the two"
                    mistakes.append(f"{self.root}/{told}")
        refuse(self.root, mistakes)

    def _images(self, part: SplitName) -> Collection[str]:
        return self.parts.get(part, {}).keys()

    def divided(self, images: Collection[str], batch: bool) -> tuple[dict[str, SplitName | None], list[str]]:
        """Return the part of each image that is used, and the images that are not used as no part names them.

        An image that no file names is in the part that a folder on its way is called after, unless a file names that
        part. Where `train` is not given, and in a batch, the others are used too.
        """
        named = {image: part for part, own in self.parts.items() for image in own}
        used: dict[str, SplitName | None] = {}
        for image in images:
            by_folder = split_of(image)
            part = named.get(image) or (by_folder if by_folder not in self.parts else None)
            if part is not None or batch or "train" not in self.parts:
                used[image] = part
        return used, sorted(set(images) - used.keys())


def split_of(path: str) -> SplitName | None:
    """Return the part that a folder on the way to a file is called after: train, val2017, valid, test."""
    folders = [re.sub(r"\d+$", "", part.lower()) for part in PurePosixPath(path).parts[:-1]]
    return next((part for part in map(split_called, folders) if part), None)


def require_known(place: str, unknown: Mapping[int, str], known: int) -> None:
    """Check that a list names images at all.

    Args:
        place: the list.
        unknown: entries that are no image, by their line.
        known: number of entries that are one.

    Raises:
        UserError: no entry is the path of an image.
    """
    if unknown and not known:
        line, entry = next(iter(unknown.items()))
        raise UserError(
            f"{place}: line {line}: {entry!r}: none of its {len(unknown)} lines names an image of the data set; "
            "correct the paths, or remove the list to have the images divided by `split`"
        )
