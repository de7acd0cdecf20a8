"""MVTec AD: good images in train/good, good and defective ones in test/, masks of defects in ground_truth/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightline.data.images import decode
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.mask_files import read_mask
from sightline.data.raw.formats.mask_pairs import MaskedImage
from sightline.data.raw.formats.pairing import loose, without_suffix
from sightline.data.raw.formats.source import (
    FolderSource,
    Unreadable,
    find_doubtful_names,
    is_image,
    name_of,
    read_image,
    refuse,
    require_root,
    visible_files,
    visible_folders,
)
from sightline.data.structures import UINT8, LabelMap, Sample, SplitName
from sightline.system.errors import UserError

GOOD = "good"
_MASKS = "ground_truth"
_SPLITS: dict[str, SplitName] = {"train": "train", "validation": "val", "test": "test"}  # validation: MVTec AD 2
_SUFFIXES = ("_mask", "")  # of a mask's name; the second as in data sets that follow MVTec AD's layout


class _Image(NamedTuple):
    path: str
    name: str  # of its class
    split: SplitName
    mask: str | None


class MvtecSource(FolderSource):
    """Good and defective images, in the order of their paths; value c of a mask is class c, `good` is 0.

    Args:
        root: folder of the raw files.
        labels: `good` and the kinds of defects.
        images: all.
        masked: whether there are masks.
        ignored: other files.
        findings: what was found.
    """

    def __init__(
        self,
        root: Path,
        labels: LabelMap,
        images: Sequence[_Image],
        masked: bool,
        ignored: Sequence[str],
        findings: Sequence[Finding],
    ) -> None:
        self.root, self.labels, self.images, self.masked = root, labels, images, masked
        self.ignored, self.findings = sorted(ignored), findings

    def __len__(self) -> int:
        return len(self.images)

    def path(self, index: int) -> str:
        """Return the path of an image below the root, /-separated."""
        return self.images[index].path

    def sample(self, index: int) -> Sample:
        """Return one image with its class and, where the data set has masks, which pixels are of the defect."""
        image = self.images[index]
        encoded = read_image(self.root, image.path)
        label = self.labels.classes.index(image.name)
        semantic = self._mask(image, encoded, label) if self.masked else None
        return Sample(image.path, encoded, split=image.split, label=label, semantic=semantic)

    def _mask(self, image: _Image, encoded: bytes, label: int) -> UINT8:
        if image.name == GOOD:
            try:
                return np.zeros(decode(encoded, 1).shape[:2], np.uint8)
            except ValueError as error:
                raise Unreadable(image.path, str(error), "undecodable") from None
        if image.mask is None:
            told = f"has no mask; it must be {_MASKS}/{image.name}/{Path(image.path).stem}_mask.png"
            raise Unreadable(image.path, told, "no_mask")
        values = read_mask(self.root, MaskedImage(image.path, image.mask, image.split))
        present = np.unique(values)
        if len(present) > 2 or (len(present) == 2 and present[0]):
            told = ", ".join(map(str, present[:5].tolist()))
            raise Unreadable(image.path, f"{image.mask}: values {told}, must be 0 and one other", "mask_values")
        if not present[-1]:
            raise Unreadable(image.path, f"{image.mask}: marks no pixel; draw the defect, or remove it", "mask_values")
        return np.where(values > 0, np.uint8(label), np.uint8(0))


def open_mvtec(root: Path, batch: bool = False) -> MvtecSource:
    """Return the images of one object or texture.

    Args:
        root: folder of the raw files.
        batch: whether it holds a part of the layout, as what is added to a data set does.

    Raises:
        UserError: with one line per error: a folder that is missing, defects in train, several objects.
    """
    require_root(root)
    there = visible_folders(root)
    if not batch:
        _require_layout(root, there)
    files = list(visible_files(root))
    masks = {loose(without_suffix(path)): path for path in files if path.startswith(f"{_MASKS}/") and is_image(path)}
    images, ignored, used = list[_Image](), list[str](), set[str]()
    for path in files:
        parts = path.split("/")
        if parts[0] == _MASKS:
            if not is_image(path):
                ignored.append(path)
            continue
        if len(parts) != 3 or parts[0] not in _SPLITS or not is_image(path):
            ignored.append(path)
            continue
        mask = _mask_of(parts[1], parts[2], masks)
        used |= {mask} if mask else set()
        images.append(_Image(path, name_of(parts[1]), _SPLITS[parts[0]], mask))
    if not images:
        raise UserError(f"{root}: no images in {', '.join(_SPLITS)}; expected e.g. train/{GOOD}/000.png")
    defects = sorted({image.name for image in images} - {GOOD})
    classes = (GOOD, *defects)
    findings = [Finding("unused_file", path, "no image has this mask") for path in sorted(set(masks.values()) - used)]
    if not masks and defects:
        told = f"there is no {_MASKS}/, so the positions of defects are not known; pixels will not be scored"
        findings.append(Finding("no_masks", _MASKS, told))
    return MvtecSource(
        root, LabelMap(classes, classes), images, bool(masks), ignored, [*findings, *find_doubtful_names(classes)]
    )


def _mask_of(folder: str, name: str, masks: Mapping[str, str]) -> str | None:
    stem = Path(name).stem
    wanted = (loose(f"{_MASKS}/{folder}/{stem}{suffix}") for suffix in _SUFFIXES)
    return next((masks[key] for key in wanted if key in masks), None)


def _require_layout(root: Path, there: Sequence[str]) -> None:
    """Check the folders.

    Raises:
        UserError: with one line per error.
    """
    if not {"train", "test"} & set(there):
        inside = [name for name in there if {"train", "test"} <= set(visible_folders(root / name))]
        if inside:
            raise UserError(
                f"{root}: holds several objects ({', '.join(inside[:4])}{', ...' if len(inside) > 4 else ''}); make a "
                f"data set of each, e.g. `root: {root / inside[0]}`"
            )
    mistakes = [
        f"{root}: has no {name}/; MVTec AD has train/{GOOD}, test/{GOOD}, test/DEFECT and {_MASKS}/DEFECT"
        for name in ("train", "test")
        if name not in there
    ]
    for part in ("train", "validation"):
        if part in there:
            mistakes += [
                f"{root / part / name}: {part}/ holds good images alone; move these to test/{name}"
                for name in visible_folders(root / part)
                if name != GOOD
            ]
    for part in ("train", "test"):
        if part in there and GOOD not in visible_folders(root / part):
            mistakes.append(f"{root / part}: has no {GOOD}/; put good images there")
    if "test" in there and not set(visible_folders(root / "test")) - {GOOD}:
        mistakes.append(f"{root / 'test'}: has no folder of a defect; without one nothing can be measured")
    refuse(root, mistakes)
