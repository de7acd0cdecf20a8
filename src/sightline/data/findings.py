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
    "new_class",
    "leak",
    "no_mask",
    "broken_file",
    "size_differs",
    "mask_values",
    "orphan",
    "broken_line",
    "unknown_class",
    "bad_box",
    "outside",
    "bad_mask",
    "bad_keypoints",
    "repeated",
    "clipped",
    "tiny",
    "keypoint_outside",
    "unannotated",
    "wrong_suffix",
    "rotated",
    "duplicate",
    "near_duplicate",
    "divided_group",
    "divided_by_hash",
    "empty_class",
    "doubtful_class",
    "joint_label",
    "table",
    "small_class",
    "class_without_train",
    "class_in_one_split",
    "ignored",
]


Fate = Literal["sample", "annotation", "kept"]


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        fate: whether the sample is left out, a single annotation of it, or nothing.
        title: what it is.
        remedy: what to do about it.
    """

    fate: Fate
    title: str
    remedy: str


KINDS: dict[Code, Kind] = {
    "unreadable": Kind("sample", "no readable image", "restore the file, or remove it from the data set"),
    "empty": Kind("sample", "empty file", "copy the file again, or remove it"),
    "truncated": Kind("sample", "truncated or damaged image", "copy the file again, or remove it"),
    "bomb": Kind("sample", "too many pixels", "shrink the image, or raise checks.max_pixels"),
    "undecodable": Kind("sample", "image format that is not read here", "convert it to PNG or JPEG"),
    "conflict": Kind(
        "sample", "same image, different labels", "decide for one label or annotation and remove the other copies"
    ),
    "new_class": Kind(
        "sample", "class that the data set does not have", "correct it, or put the class into the first data by hand"
    ),
    "leak": Kind("sample", "same image in two splits", "keep it in one split; it stays in the one that tests"),
    "no_mask": Kind("sample", "image without a usable mask", "add its mask as an index PNG, or remove the image"),
    "broken_file": Kind("sample", "broken annotation file", "repair it, or export it again"),
    "size_differs": Kind(
        "sample",
        "annotation for another image size",
        "annotate the upright image at its full size, or correct the size",
    ),
    "mask_values": Kind("sample", "mask values that are no class", "name them in names, or put them in ignore_index"),
    "orphan": Kind("annotation", "annotation without its image", "add the image, or remove the annotation"),
    "broken_line": Kind("annotation", "annotation that cannot be read", "correct it, or export the file again"),
    "unknown_class": Kind("annotation", "annotation of no known class", "correct the class, or add it to the names"),
    "bad_box": Kind("annotation", "box without an area", "draw it again"),
    "outside": Kind("annotation", "box outside of the image", "remove it, or draw it again"),
    "bad_mask": Kind("annotation", "outline or mask that is none", "draw it again"),
    "bad_keypoints": Kind("annotation", "key points that are none", "give x, y and visibility 0, 1 or 2 of each"),
    "repeated": Kind("annotation", "the same annotation twice", "remove a copy"),
    "clipped": Kind("kept", "box partly outside of the image, clipped", "nothing, or draw it within the image"),
    "tiny": Kind("kept", "object of hardly a pixel", "look at it; remove it if it is a slip"),
    "keypoint_outside": Kind("kept", "key point outside of the image, taken as absent", "nothing, or move it"),
    "unannotated": Kind("kept", "image without annotation, kept as one without objects", "nothing, or annotate it"),
    "wrong_suffix": Kind("kept", "suffix does not tell the format", "rename the file"),
    "rotated": Kind("kept", "turned by its EXIF orientation", "nothing; boxes and masks must fit the upright image"),
    "duplicate": Kind("kept", "same image twice in one split", "remove a copy, as it counts twice"),
    "near_duplicate": Kind(
        "kept", "nearly the same image in two splits", "look at both; put them into one split, or give them one group"
    ),
    "divided_group": Kind("kept", "group in several of the data set's own splits", "move it into one split"),
    "divided_by_hash": Kind(
        "kept",
        "older rule of division",
        "nothing, or write `by: stratified` into its `split` to divide anew by classes (`by: hash` ends this line)",
    ),
    "empty_class": Kind(
        "kept",
        "folder without images, no class",
        "remove it, add images, or name all classes in `classes` to keep it as one",
    ),
    "doubtful_class": Kind("kept", "class name that may be a slip", "correct it in the files if it is one"),
    "joint_label": Kind(
        "kept",
        "label that looks like several",
        "call the column `labels` if an image may have several classes; nothing if it is one name",
    ),
    "table": Kind("kept", "how the table was read", "nothing, or change the table if it is meant otherwise"),
    "small_class": Kind("kept", "few samples of a class", "add images, or lower checks.min_samples_per_class"),
    "class_without_train": Kind("kept", "class without training samples", "add some, as it can never be learnt"),
    "class_in_one_split": Kind("kept", "class that is not evaluated", "add images, so that val and test get some"),
    "ignored": Kind("kept", "file that is not used", "nothing, or name it like an image in a class folder"),
}


@dataclass(frozen=True)
class Finding:
    """One finding: `source` is a sample, a file, a class or a group; `reason` says what exactly, without the remedy."""

    code: Code
    source: str
    reason: str

    @property
    def fate(self) -> Fate:
        """Tell whether the sample is left out, an annotation of it, or nothing."""
        return KINDS[self.code].fate

    @property
    def bad(self) -> bool:
        """Tell whether the sample is left out."""
        return self.fate == "sample"

    def line(self, root: str) -> str:
        """Return the finding as one line: place, problem, remedy."""
        return f"{root}/{self.source}: {self.reason}; {KINDS[self.code].remedy}"


def by_code(findings: Sequence[Finding]) -> dict[Code, list[Finding]]:
    """Return the findings of each code that occurs, in the order of `KINDS`."""
    groups: dict[Code, list[Finding]] = {code: [] for code in KINDS}
    for finding in findings:
        groups[finding.code].append(finding)
    return {code: group for code, group in groups.items() if group}
