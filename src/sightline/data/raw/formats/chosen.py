"""A source cut down to some of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sightline.data.raw.annotations import map_names
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.source import Source, name_of
from sightline.data.structures import IGNORED, UINT8, Sample
from sightline.system.errors import UserError, nearest


class ChosenClasses(Source):
    """The samples, boxes and pixels of some classes, renumbered.

    Where a class is all that is known of a sample, samples of other classes are left out. Elsewhere all images stay:
    boxes and labels of other classes are left out, and their pixels become background where there is one, else ignored.

    Args:
        source: the whole.
        names: the classes to keep, in their new order.
        place: the data set, for messages.

    Raises:
        UserError: a class does not exist.
    """

    def __init__(self, source: Source, names: Sequence[str], place: str) -> None:
        old = source.labels
        place_of = {name_of(name): label for label, name in enumerate(old.classes)}
        unknown = [name for name in names if name_of(name) not in place_of]
        if unknown:
            known = f" (there are {', '.join(old.classes[:20])})"
            raise UserError(
                [
                    f"{place}: classes: {name!r} is not one of its classes{nearest(name, old.classes, known)}"
                    for name in unknown
                ]
            )
        kept = [place_of[name_of(name)] for name in names]
        self.source, self.ignored, self.findings = source, source.ignored, source.findings
        self.labels = replace(
            old,
            classes=tuple(names),
            source_ids=tuple(old.source_ids[label] for label in kept),
            semantic=map_names(names) if old.semantic else (),
        )
        self.number = {label: new for new, label in enumerate(kept)}
        single = source.sample_labels
        self.indices = [index for index in range(len(source)) if single is None or single[index] in self.number]
        self.sample_labels = None if single is None else [self.number[single[index]] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def sample(self, index: int) -> Sample:
        """Return one sample with what is known of the chosen classes."""
        return self._cut(self.source.sample(self.indices[index]))

    def examined(self, index: int) -> tuple[Sample, list[Finding]]:
        """Return one sample with what was found in its annotations."""
        sample, findings = self.source.examined(self.indices[index])
        return self._cut(sample), findings

    def _cut(self, sample: Sample) -> Sample:
        kept = [place for place, label in enumerate(sample.box_labels) if label in self.number]

        def chosen(values: list[Any]) -> list[Any]:
            return [values[place] for place in kept] if values else values

        return replace(
            sample,
            label=self.number.get(sample.label, -1),
            labels=sorted(self.number[label] for label in sample.labels if label in self.number),
            boxes=None if sample.boxes is None else sample.boxes[kept],
            corners=None if sample.corners is None else sample.corners[kept],
            box_labels=[self.number[label] for label in chosen(sample.box_labels)],
            iscrowd=chosen(sample.iscrowd),
            difficult=chosen(sample.difficult),
            area=chosen(sample.area),
            instances=chosen(sample.instances),
            keypoints=None if sample.keypoints is None else sample.keypoints[kept],
            semantic=None if sample.semantic is None else self._renumbered(sample.semantic),
        )

    def _renumbered(self, semantic: UINT8) -> UINT8:
        shift = int(bool(self.labels.semantic))  # masks made of objects: 0 is background and class c is c + 1
        new = np.full(256, 0 if shift else IGNORED, np.uint8)
        new[IGNORED] = IGNORED
        for label, number in self.number.items():
            new[label + shift] = number + shift
        return new[semantic]
