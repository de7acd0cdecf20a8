"""The categories of COCO's files: which of them become classes, and what their key points are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import class_name, mirrored
from sightline.data.raw.formats.json_values import identity
from sightline.data.raw.formats.source import refuse
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError

_POINT = 3  # numbers of a key point: x, y, visibility


class Categories:
    """The categories of all files of a data set, joined by their ids.

    Attributes:
        used: the ids that annotations have, to be filled by the reader.
        points: how many objects have so many numbers in `keypoints`, to be filled too.
    """

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.points: Counter[int] = Counter()
        self._named: dict[int, str] = {}
        self._keypoints: dict[int, Any] = {}
        self._last = Path()

    def add(self, path: Path, categories: list[dict[str, Any]]) -> set[int]:
        """Add the categories of a file, and return their ids.

        Raises:
            UserError: ids or names are missing, come twice, or are not those of the other files.
        """
        ids = [identity(category.get("id")) for category in categories]
        names = [class_name(str(category.get("name") or "")) for category in categories]
        mistakes = [
            f"{path}: categories: entry {number}: needs a whole number id and a name, got {category.get('id')!r} and "
            f"{category.get('name')!r}; correct it"
            for number, category in enumerate(categories)
            if not isinstance(ids[number], int) or not isinstance(category.get("name"), str) or not names[number]
        ]
        refuse(path, mistakes)
        named: dict[int, str] = {}
        for category, number, name in zip(categories, ids, names, strict=True):
            assert isinstance(number, int)
            if number in named:
                raise UserError(f"{path}: categories: id {number} occurs twice; give each class a different one")
            named[number] = name
            self._keypoints[number] = self._keypoints.get(number) or category.get("keypoints")
        if not named:
            raise UserError(f"{path}: categories: is empty; name the classes")
        self._require_same(path, named)
        self._named |= named
        self._last = path
        return set(named)

    def _require_same(self, path: Path, named: dict[int, str]) -> None:
        """Check that no id and no name has another meaning than in the files before."""
        told = f"{path}: categories: differ from those of the other annotation files; use the same in each"
        known = {name: number for number, name in self._named.items()}
        for number, name in named.items():
            if self._named.get(number, name) != name:
                raise UserError(f"{told}: {number} is {name!r} here and {self._named[number]!r} there")
            if known.get(name, number) != number and number not in self._named:
                raise UserError(f"{told}: {name!r} is {number} here and {known[name]} there")

    def label_map(self, wanted: Collection[str]) -> tuple[LabelMap, dict[int, int], list[Finding]]:
        """Return the label map in the order of the ids, the class of each id, and what was left out of it.

        Categories without an annotation, as exports of all of COCO's 80 or Roboflow's root category, are no classes.

        Args:
            wanted: names that are classes even so.

        Raises:
            UserError: a name comes twice, or key points differ.
        """
        ordered = sorted(self._named.items())
        kept = [(number, name) for number, name in ordered if number in self.used or not self.used]
        kept += [(number, name) for number, name in ordered if name in set(wanted) - {name for _, name in kept}]
        kept.sort()
        names = [name for _, name in kept]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise UserError(
                f"{self._last}: categories: name {repeated!r} occurs twice; give each class a different one"
            )
        findings = [
            Finding("unused_class", f"class {name}", f"no annotation has its category_id {number}")
            for number, name in ordered
            if (number, name) not in kept
        ]
        keypoints = self._names_of_points()
        if not keypoints and self.points:
            keypoints = tuple(map(str, range(1, self.points.most_common(1)[0][0] // _POINT + 1)))
            told = f"annotations have {len(keypoints)} key points, which the categories do not name; named 1, 2, ..."
            findings += [Finding("unnamed_points", self._last.name, told)] if keypoints else []
        ids = tuple(str(number) for number, _ in kept)
        labels = LabelMap(tuple(names), ids, (), keypoints, mirrored(keypoints))
        return labels, {number: label for label, (number, _) in enumerate(kept)}, findings

    def _names_of_points(self) -> tuple[str, ...]:
        """Return the names of the key points, which one category, or all that have some, must agree on."""
        named = {self._named[number]: points for number, points in sorted(self._keypoints.items()) if points}
        for name, points in named.items():
            if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
                raise UserError(f"{self._last}: categories: keypoints of {name!r}: not a list of names; correct it")
            if len(set(points)) < len(points):
                told = "a name occurs twice; give each a different one"
                raise UserError(f"{self._last}: categories: keypoints of {name!r}: {told}")
        different = {tuple(points): name for name, points in named.items()}
        if len(different) > 1:
            told = ", ".join(repr(name) for name in different.values())
            raise UserError(f"{self._last}: categories: the key points of {told} differ; use a separate file for each")
        return next(iter(different), ())
