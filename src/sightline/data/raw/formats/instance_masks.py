"""One PNG per image whose values are objects, 0 = background (Penn-Fudan's layout); all objects are of one class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightline.data.encoding import encode_rle
from sightline.data.raw.annotations import Annotation, Size, map_names
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import Annotated, AnnotatedSource, PerSplit
from sightline.data.raw.formats.mask_files import read_mask, smoothed
from sightline.data.raw.formats.mask_pairs import MaskedImage, pair_masks
from sightline.data.raw.formats.source import Unreadable
from sightline.data.structures import LabelMap


class InstanceMaskSource(AnnotatedSource):
    """Images with one mask per object, in the order of their paths."""

    def __init__(self, root: Path, name: str, pairs: Sequence[MaskedImage], findings: Sequence[Finding]) -> None:
        labels = LabelMap((name,), ("1",), semantic=map_names([name]))
        super().__init__(root, labels, (Annotated(one.path, (), one.split) for one in pairs), findings)
        self.pairs = {one.path: one for one in pairs}
        self.masks = True

    def annotations(self, entry: Annotated, size: Size) -> Sequence[Annotation]:
        """Return one annotation per value of the mask."""
        file = self.pairs[entry.path].mask
        values = read_mask(self.root, self.pairs[entry.path])
        if values.shape != size:
            told = f"{file} is {values.shape[1]} x {values.shape[0]}, the upright image {size[1]} x {size[0]}"
            raise Unreadable(entry.path, told, "size_differs")
        problem = smoothed(values)
        if problem is not None:
            raise Unreadable(entry.path, f"{file}: {problem}", "smoothed")
        numbers = np.unique(values)
        return [
            Annotation(f"{file}: value {number}", 0, outline=encode_rle(values == number))
            for number in numbers[numbers > 0].tolist()
        ]


def open_instance_masks(
    root: Path, images: PerSplit, masks: PerSplit, suffix: str, class_name: str
) -> InstanceMaskSource:
    """Return the images with the masks of the same name.

    Args:
        root: folder of the raw files.
        images: their folder, or one per split.
        masks: the folder of the masks, or one per split.
        suffix: what a mask's name has after its image's.
        class_name: the class of every object.

    Raises:
        UserError: a folder is missing, or no image has a mask.
    """
    pairs, findings = pair_masks(root, images, masks, suffix)
    return InstanceMaskSource(root, class_name, pairs, findings)
