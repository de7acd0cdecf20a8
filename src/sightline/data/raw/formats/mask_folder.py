"""Index masks: one PNG per image, matched by name, whose values are classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import PerSplit
from sightline.data.raw.formats.mask_files import read_mask, smoothed
from sightline.data.raw.formats.mask_pairs import MaskedImage, pair_masks
from sightline.data.raw.formats.source import FolderSource, Unreadable, read_image
from sightline.data.structures import IGNORED, LabelMap, Sample

_TOLD = 5  # values that are not a class


class MaskFolderSource(FolderSource):
    """Images with semantic masks, in the order of their paths.

    Args:
        root: folder of the raw files.
        values: the mask value of each class; the classes are in this order.
        ignored_values: mask values that are not a class.
        colours: whether values are colours, 65536 red + 256 green + blue.
        pairs: images with their masks.
        findings: masks without an image.
    """

    def __init__(
        self,
        root: Path,
        values: Mapping[str, int],
        ignored_values: Sequence[int],
        colours: bool,
        pairs: Sequence[MaskedImage],
        findings: Sequence[Finding],
    ) -> None:
        self.root, self.pairs, self.findings, self.ignored = root, pairs, findings, []
        self.colours = colours
        self.labels = LabelMap(tuple(values), tuple(map(self._told, values.values())))
        self.classes = np.full(2**24 if colours else 2**16, -1, np.int16)
        self.classes[list(ignored_values)] = IGNORED
        self.classes[list(values.values())] = np.arange(len(values))

    def __len__(self) -> int:
        return len(self.pairs)

    def path(self, index: int) -> str:
        """Return the path of an image below the root, /-separated."""
        return self.pairs[index].path

    def sample(self, index: int) -> Sample:
        """Return one image with its mask, values made class ids."""
        pair = self.pairs[index]
        image = read_image(self.root, pair.path)
        values = read_mask(self.root, pair, self.colours)
        semantic = self.classes[values]
        if semantic.min() < 0:
            problem = None if self.colours else smoothed(values)
            if problem is not None:
                raise Unreadable(pair.path, f"{pair.mask}: {problem}", "smoothed")
            unknown = ", ".join(map(self._told, np.unique(values[semantic < 0])[:_TOLD].tolist()))
            told = f"{pair.mask}: the {'colours' if self.colours else 'values'} {unknown} are not a class"
            raise Unreadable(pair.path, told, "mask_values")
        return Sample(pair.path, image, split=pair.split, semantic=semantic.astype(np.uint8))

    def _told(self, value: int) -> str:
        return f"#{value:06x}" if self.colours else str(value)


def open_mask_folder(
    root: Path,
    images: PerSplit,
    masks: PerSplit,
    suffix: str,
    values: Mapping[str, int],
    ignored: Sequence[int],
    colours: bool,
) -> MaskFolderSource:
    """Return the images with the masks of the same name.

    Args:
        root: folder of the raw files.
        images: their folder, or one per split.
        masks: the folder of the masks, or one per split.
        suffix: what a mask's name has after its image's.
        values: the mask value of each class.
        ignored: mask values that are not a class.
        colours: whether the values are colours, 65536 red + 256 green + blue.

    Raises:
        UserError: a folder is missing, or no image has a mask.
    """
    pairs, findings = pair_masks(root, images, masks, suffix)
    return MaskFolderSource(root, values, ignored, colours, pairs, findings)
