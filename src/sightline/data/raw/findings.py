"""What the preflight checks can find, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sightline.data.raw.names import is_utf8, printable

Code = Literal[
    "unreadable",
    "empty",
    "truncated",
    "bomb",
    "undecodable",
    "conflict",
    "new_class",
    "new_character",
    "leak",
    "no_mask",
    "broken_file",
    "shared_file",
    "size_differs",
    "mask_values",
    "smoothed",
    "orphan",
    "unused_file",
    "all_dropped",
    "broken_line",
    "unknown_class",
    "bad_box",
    "outside",
    "bad_mask",
    "bad_keypoints",
    "repeated",
    "joined",
    "other_name",
    "bad_outline",
    "box_only",
    "crowds",
    "clipped",
    "tiny",
    "keypoint_outside",
    "unannotated",
    "wrong_suffix",
    "rotated",
    "transparent",
    "deep",
    "other_ranges",
    "later_pages",
    "bad_name",
    "duplicate",
    "near_duplicate",
    "divided_group",
    "given_split",
    "four_corners",
    "similar_names",
    "unused_class",
    "unnamed_points",
    "ignored_pixels",
    "second_mask",
    "no_masks",
    "divided_by_hash",
    "empty_class",
    "doubtful_class",
    "joint_label",
    "table",
    "small_class",
    "class_without_train",
    "character_without_train",
    "class_in_one_split",
    "empty_split",
    "ignored",
    "loose",
]

# Of files that are no part of any sample.
UNUSED: tuple[Code, ...] = ("ignored", "loose")


Fate = Literal["sample", "annotation", "kept"]


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        fate: whether the sample is left out, a single annotation of it, or nothing.
        title: what it is.
        remedy: what to do about it.
        remedies: the same in words of a format, where it has its own.
    """

    fate: Fate
    title: str
    remedy: str
    remedies: Mapping[str, str] = field(default_factory=dict)

    def remedy_for(self, form: str) -> str:
        """Return what to do about it in a data set of this format."""
        return self.remedies.get(form, self.remedy)


_SPLIT_FOLDERS = "look at both; delete one, or, if there are folders train, val and test, move both into one of them"

KINDS: dict[Code, Kind] = {
    "unreadable": Kind("sample", "no readable image", "restore the file, or remove it from the data set"),
    "empty": Kind("sample", "empty file", "copy the file again, or remove it"),
    "truncated": Kind("sample", "truncated or damaged image", "copy the file again, or remove it"),
    "bomb": Kind("sample", "too many pixels", "shrink the image, or raise checks.max_pixels"),
    "undecodable": Kind("sample", "unsupported image format", "convert it to PNG or JPEG"),
    "bad_name": Kind("sample", "name that is not UTF-8", "rename the file, e.g. with `convmv -f latin1 -t utf8`"),
    "conflict": Kind(
        "sample", "same image, different labels", "decide on one label or annotation and remove the other copies"
    ),
    "new_class": Kind(
        "sample",
        "class that is not in the data set",
        "correct it, or add the class to the initial data, or to `classes`",
    ),
    "new_character": Kind(
        "sample",
        "text with a character that is not in the data set",
        "correct it, or add texts with the character to the initial data",
    ),
    "leak": Kind(
        "sample", "same image in two splits", "keep it in one split; it is kept in the test or validation split"
    ),
    "no_mask": Kind(
        "sample",
        "image without a usable mask",
        "add its mask as an index PNG, or remove the image; colour masks need `names: {NAME: '#ff8000', ...}`",
    ),
    "broken_file": Kind("sample", "broken annotation file", "repair it, or export it again"),
    "shared_file": Kind(
        "sample",
        "annotation file shared by several images",
        "give each image a different name and a separate file, or remove all but one",
    ),
    "size_differs": Kind(
        "sample",
        "annotation for another image size",
        "annotate the upright image at its full size, or correct the size",
    ),
    "mask_values": Kind("sample", "mask values that are not a class", "add them to names, or to ignore_index"),
    "smoothed": Kind(
        "sample",
        "mask whose values were changed by compression or resizing",
        "export it again from the original as PNG, and resize masks with nearest neighbour only",
    ),
    "orphan": Kind("annotation", "annotation without its image", "add the image, or remove the annotation"),
    "unused_file": Kind(
        "annotation",
        "annotation file that no image uses",
        "add its image or remove the file; `allow_empty: true` in the data set's entry of params.yaml leaves it out",
    ),
    "all_dropped": Kind(
        "sample",
        "image whose annotations were all rejected",
        "correct them; delete them if the image shows no object",
    ),
    "broken_line": Kind("annotation", "annotation that cannot be read", "correct it, or export the file again"),
    "unknown_class": Kind("annotation", "annotation of an unknown class", "correct the class, or add it to the names"),
    "bad_box": Kind("annotation", "box without an area", "draw it again"),
    "outside": Kind("annotation", "box outside the image", "remove it, or draw it again"),
    "bad_mask": Kind("annotation", "invalid outline or mask", "draw it again"),
    "bad_keypoints": Kind("annotation", "invalid key points", "give x, y and visibility 0, 1 or 2 of each"),
    "repeated": Kind("annotation", "the same annotation twice", "remove a copy"),
    "joined": Kind("kept", "image listed twice, its annotations joined", "nothing, or list it once"),
    "other_name": Kind("kept", "image found under another name", "nothing, or write the name of the file"),
    "bad_outline": Kind("kept", "outline without an area, its box kept", "nothing, or draw it again"),
    "box_only": Kind(
        "kept", "object with a box only, among outlines: its mask is not learned", "nothing, or draw its outline"
    ),
    "crowds": Kind(
        "kept",
        "class whose objects are mostly crowds (iscrowd), which are neither learned nor scored",
        "nothing, or set `crowds: objects` in the data set's entry, as CVAT marks brush masks as crowds",
    ),
    "clipped": Kind("kept", "box partly outside the image, clipped", "nothing, or draw it within the image"),
    "tiny": Kind("kept", "object smaller than a pixel or two", "look at it; remove it if it is a mistake"),
    "keypoint_outside": Kind("kept", "key point outside the image, treated as absent", "nothing, or move it"),
    "unannotated": Kind(
        "kept", "image without annotation, kept as an image without objects", "nothing, or annotate it"
    ),
    "wrong_suffix": Kind("kept", "suffix does not match the format", "rename the file"),
    "rotated": Kind("kept", "stored rotated, decoded upright", "nothing; boxes and masks must fit the upright image"),
    "transparent": Kind(
        "kept",
        "transparency, which is dropped",
        "nothing, or put the image on a plain background if hidden colours show",
    ),
    "deep": Kind("kept", "16 bits per channel, converted to 8", "nothing, or convert it to 8 bits yourself"),
    "other_ranges": Kind(
        "kept",
        "16-bit images of different ranges",
        "convert all to 8 bits on the same scale if brightness matters",
    ),
    "later_pages": Kind("kept", "several pages or frames, only the first is used", "save the others as separate files"),
    "duplicate": Kind("kept", "same image twice in one split", "remove a copy, because it counts twice"),
    "near_duplicate": Kind(
        "kept",
        "nearly the same image in two splits",
        "look at both; delete one, or, if the data set comes with splits, put both into one",
        {
            "csv": "look at both; give both the same `group`, or the same `split`, in the table, or delete one",
            **dict.fromkeys(("image_folder", "yolo", "dota"), _SPLIT_FOLDERS),
        },
    ),
    "divided_group": Kind("kept", "group in several splits of the data set", "move it into one split"),
    "given_split": Kind("kept", "split that comes with the data set", "nothing, or change its lists or folders"),
    "four_corners": Kind(
        "kept", "outlines of four corners each", "nothing; if they are oriented boxes, set `boxes: oriented`"
    ),
    "similar_names": Kind("kept", "class names that differ only in case", "join them if they are one class"),
    "unused_class": Kind(
        "kept",
        "category without an annotation, not used as a class",
        "nothing; list it in `classes` to keep it, e.g. for later batches",
    ),
    "unnamed_points": Kind("kept", "key points without names", "name them in `keypoints` of the categories"),
    "ignored_pixels": Kind(
        "kept",
        "class that never occurs, although many pixels are ignored",
        "give the class the ignored value in names, e.g. {background: 0, object: 255}",
    ),
    "second_mask": Kind("kept", "second mask of an image, not used", "nothing, or remove it"),
    "no_masks": Kind("kept", "data set without masks", "nothing, or add the masks of all defects"),
    "divided_by_hash": Kind(
        "kept",
        "divided by an older rule",
        "nothing, or write `by: stratified` into its `split` to divide again by classes (`by: hash` "
        "silences this finding)",
    ),
    "empty_class": Kind(
        "kept",
        "folder without images, not used as a class",
        "remove it, add images, or list all classes in `classes` to keep it as a class",
    ),
    "doubtful_class": Kind("kept", "class name that may be a typo", "correct it in the files if it is a typo"),
    "joint_label": Kind(
        "kept",
        "label that looks like several labels",
        "call the column `labels` if an image may have several classes; nothing if it is a single name",
    ),
    "table": Kind("kept", "how the table was read", "nothing, or change the table if this is wrong"),
    "small_class": Kind("kept", "few samples of a class", "add images, or lower checks.min_samples_per_class"),
    "class_without_train": Kind(
        "kept", "class without training samples", "add some, because the class cannot be learned"
    ),
    "character_without_train": Kind(
        "kept",
        "character without training samples",
        "add training texts with it, because it cannot be learned, or put these samples into train",
    ),
    "class_in_one_split": Kind("kept", "class that is not evaluated", "add images, so that val and test contain some"),
    "empty_split": Kind(
        "kept", "split without an object, so it cannot evaluate a model", "annotate more images, or change the division"
    ),
    "ignored": Kind(
        "kept",
        "file that is not used",
        "nothing if it is no image; else save it as PNG or JPEG with the other images, and annotate it",
    ),
    "loose": Kind("kept", "image that is in no class folder, not used", "move it into the folder of its class"),
}


@dataclass(frozen=True)
class Finding:
    """One finding: `source` is a sample, a file, a class or a group; `reason` says what exactly, without the remedy."""

    code: Code
    source: str
    reason: str

    def __post_init__(self) -> None:
        """Make names printable that are not UTF-8: findings go to tables, JSON and the terminal."""
        for name in ("source", "reason"):
            if not is_utf8(getattr(self, name)):
                object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def fate(self) -> Fate:
        """Return whether the sample is left out, an annotation of it, or nothing."""
        return KINDS[self.code].fate

    @property
    def bad(self) -> bool:
        """Return whether the sample is left out."""
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


def near_copies(card: Mapping[str, Any]) -> str:
    """Say that a score may be too good as images of val or test nearly equal others; "" where there are none."""
    count = card.get("findings", {}).get("near_duplicate", {}).get("count", 0)
    if not count:
        return ""
    return (
        f"The score may be too good: {count:,} images of val or test are nearly the same as one of another split."
        if count > 1
        else "The score may be too good: one image of val or test is nearly the same as one of another split."
    )
