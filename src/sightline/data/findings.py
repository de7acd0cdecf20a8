"""What the preflight checks can find, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Code = Literal[
    "unreadable",
    "empty",
    "truncated",
    "bomb",
    "undecodable",
    "conflict",
    "leak",
    "wrong_suffix",
    "rotated",
    "duplicate",
    "near_duplicate",
    "divided_group",
    "small_class",
    "class_without_train",
    "class_in_one_split",
    "ignored",
]


@dataclass(frozen=True)
class Kind:
    """A kind of finding: a bad sample is left out (or stops the run), any other is kept and reported."""

    bad: bool
    title: str
    remedy: str


KINDS: dict[Code, Kind] = {
    "unreadable": Kind(True, "no readable image", "restore the file, or remove it from the data set"),
    "empty": Kind(True, "empty file", "copy the file again, or remove it"),
    "truncated": Kind(True, "truncated or damaged image", "copy the file again, or remove it"),
    "bomb": Kind(True, "too many pixels", "shrink the image, or raise checks.max_pixels"),
    "undecodable": Kind(True, "image format that is not read here", "convert it to PNG or JPEG"),
    "conflict": Kind(True, "same image, different labels", "decide for one label and remove the other copies"),
    "leak": Kind(True, "same image in two splits", "keep it in one split; it stays in the one that tests"),
    "wrong_suffix": Kind(False, "suffix does not tell the format", "rename the file"),
    "rotated": Kind(False, "turned by its EXIF orientation", "nothing; boxes and masks must fit the upright image"),
    "duplicate": Kind(False, "same image twice in one split", "remove a copy, as it counts twice"),
    "near_duplicate": Kind(
        False, "nearly the same image in two splits", "look at both; put them into one split, or give them one group"
    ),
    "divided_group": Kind(False, "group in several of the data set's own splits", "move it into one split"),
    "small_class": Kind(False, "few samples of a class", "add images, or lower checks.min_samples_per_class"),
    "class_without_train": Kind(False, "class without training samples", "add some, as it can never be learnt"),
    "class_in_one_split": Kind(False, "class that is not evaluated", "add images, so that val and test get some"),
    "ignored": Kind(False, "file that is not used", "nothing, or name it like an image in a class folder"),
}


@dataclass(frozen=True)
class Finding:
    """One finding: `source` is a sample, a file, a class or a group; `reason` says what exactly, without the remedy."""

    code: Code
    source: str
    reason: str

    @property
    def bad(self) -> bool:
        """Tell whether the sample is left out."""
        return KINDS[self.code].bad

    def line(self, root: str) -> str:
        """Return the finding as one line: place, problem, remedy."""
        return f"{root}/{self.source}: {self.reason}; {KINDS[self.code].remedy}"


def by_code(findings: Sequence[Finding]) -> dict[Code, list[Finding]]:
    """Return the findings of each code that occurs, in the order of `KINDS`."""
    groups: dict[Code, list[Finding]] = {code: [] for code in KINDS}
    for finding in findings:
        groups[finding.code].append(finding)
    return {code: group for code, group in groups.items() if group}
