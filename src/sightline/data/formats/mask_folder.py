"""Index masks: one PNG per image, matched by name, whose values are classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from sightline.data.encoding import read_index_png
from sightline.data.findings import Finding
from sightline.data.formats.annotated import PerSplit, parts_of
from sightline.data.formats.source import FolderSource, Unreadable, is_image, read_image, require_root, visible_files
from sightline.errors import UserError
from sightline.structures import IGNORED, LabelMap, Sample, SplitName


class MaskedImage(NamedTuple):
    """An image and its mask, paths below the root; no mask where there is none."""

    path: str
    mask: str | None
    split: SplitName | None


class MaskFolderSource(FolderSource):
    """Images with semantic masks, in the order of their paths.

    Args:
        root: folder of the raw files.
        values: the mask value of each class; the classes are in this order.
        ignored_values: mask values that are no class.
        pairs: images with their masks.
        findings: masks without an image.
    """

    def __init__(
        self,
        root: Path,
        values: Mapping[str, int],
        ignored_values: Sequence[int],
        pairs: Sequence[MaskedImage],
        findings: Sequence[Finding],
    ) -> None:
        self.root, self.pairs, self.findings, self.ignored = root, pairs, findings, []
        self.labels = LabelMap(tuple(values), tuple(str(value) for value in values.values()))
        self.classes = np.full(2**16, -1, np.int16)
        self.classes[list(ignored_values)] = IGNORED
        self.classes[list(values.values())] = np.arange(len(values))

    def __len__(self) -> int:
        return len(self.pairs)

    def path(self, index: int) -> str:
        """Return the path of an image below the root, /-separated."""
        return self.pairs[index].path

    def sample(self, index: int) -> Sample:
        """Return one image with its mask, values made class ids."""
        path, mask, split = self.pairs[index]
        image = read_image(self.root, path)
        values = read_mask(self.root, path, mask)
        semantic = self.classes[values]
        if semantic.min() < 0:
            unknown = np.unique(values[semantic < 0])[:5].tolist()
            raise Unreadable(path, f"{mask}: the values {', '.join(map(str, unknown))} are no class", "mask_values")
        return Sample(path, image, split=split, semantic=semantic.astype(np.uint8))


def open_mask_folder(
    root: Path, images: PerSplit, masks: PerSplit, suffix: str, values: Mapping[str, int], ignored: Sequence[int]
) -> MaskFolderSource:
    """Return the images with the masks of the same name.

    Args:
        root: folder of the raw files.
        images: their folder, or one per split.
        masks: the folder of the masks, or one per split.
        suffix: what a mask's name has after its image's.
        values: the mask value of each class.
        ignored: mask values that are no class.

    Raises:
        UserError: a folder is missing, or no image has a mask.
    """
    pairs, findings = pair_masks(root, images, masks, suffix)
    return MaskFolderSource(root, values, ignored, pairs, findings)


def pair_masks(root: Path, images: PerSplit, masks: PerSplit, suffix: str) -> tuple[list[MaskedImage], list[Finding]]:
    """Return the images with the masks of the same name, and a finding for each mask without an image.

    Raises:
        UserError: a folder is missing, or no image has a mask.
    """
    require_root(root)
    pairs: dict[str, MaskedImage] = {}
    findings: list[Finding] = []
    for split, mask_folder, image_folder in parts_of(masks, images):
        by_name = {_name(path): path for path in _images(root, mask_folder, "masks")}
        for path in _images(root, image_folder, "images"):
            mask = by_name.pop(_name(path) + suffix, None)
            place = _joined(image_folder, path)
            if place not in pairs or (mask and pairs[place].mask is None):  # splits may share a folder of images
                pairs[place] = MaskedImage(place, mask and _joined(mask_folder, mask), split)
            elif mask:
                told = f"has masks in {pairs[place].split} and {split}; keep it in one split"
                raise UserError(f"{root / place}: {told}")
        findings += [
            Finding(
                "unused_file",
                _joined(mask_folder, path),
                f"there is no image {image_folder}/{name.removesuffix(suffix)}",
            )
            for name, path in by_name.items()
        ]
    if not any(pair.mask for pair in pairs.values()):
        raise UserError(
            f"{root}: no image has a mask of its name{f' and {suffix!r}' if suffix else ''}; "
            "correct images, masks or mask_suffix"
        )
    return sorted(pairs.values()), findings


def _images(root: Path, folder: str, field: str) -> list[str]:
    if not (root / folder).is_dir():
        raise UserError(f"{root / folder}: no such folder; correct `{field}` in params.yaml")
    return [path for path in visible_files(root / folder) if is_image(path)]


def _name(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()


def _joined(folder: str, path: str) -> str:
    return PurePosixPath(folder, path).as_posix()


def read_mask(root: Path, path: str, mask: str | None) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Return the values of the mask of the image at `path`, H x W.

    Raises:
        Unreadable: there is none, or it cannot be used.
    """
    if mask is None:
        raise Unreadable(path, "has no mask", "no_mask")
    try:
        return read_index_png((root / mask).read_bytes())
    except OSError as error:
        raise Unreadable(path, f"{mask}: cannot be opened: {error.strerror}", "no_mask") from None
    except ValueError as error:
        raise Unreadable(path, f"{mask}: {error}", "no_mask") from None
