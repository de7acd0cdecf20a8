"""Tries the formats whose signs a folder has, and says what its samples can teach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from sightline.config.datasets import Dataset
from sightline.config.own import OwnFormat
from sightline.config.plugins import FORMATS, implementation, sections
from sightline.data.raw.formats import Source, Unreadable, open_files
from sightline.data.raw.formats.source import require_two_classes
from sightline.data.raw.recognition.annotations import (
    propose_coco,
    propose_dota,
    propose_via,
    propose_voc,
    propose_yolo,
)
from sightline.data.raw.recognition.good_folders import propose_mvtec
from sightline.data.raw.recognition.listing import Listing
from sightline.data.raw.recognition.masks import propose_masks
from sightline.data.raw.recognition.proposal import Proposal
from sightline.data.raw.recognition.tables import propose_folders, propose_idx, propose_tables
from sightline.data.raw.recognition.texts import propose_text_lists
from sightline.data.structures import Sample
from sightline.system.errors import UserError, nearest

_EXAMPLES = 60  # samples that are looked at for what they teach
_PROPOSERS: tuple[Callable[[Listing], Iterator[Proposal]], ...] = (
    propose_idx,
    propose_coco,
    propose_via,
    propose_voc,
    propose_yolo,
    propose_dota,
    propose_masks,
    propose_tables,
    propose_text_lists,
)


@dataclass(frozen=True)
class Candidate:
    """A section of `datasets:` that reads a folder.

    Attributes:
        section: with `root`.
        seen: the signs of it, for the user.
        tasks: kinds of task that it can teach; the first is the one that needs most of what is known, and where there
            are several, only the user knows which is meant.
        samples: number of images.
        notes: what was decided that the files do not say, by key.
    """

    section: dict[str, Any]
    seen: str
    tasks: tuple[str, ...]
    samples: int
    notes: tuple[tuple[str, str], ...] = ()


def recognise(folder: Path, wanted: Mapping[str, Any] | None = None) -> list[Candidate]:
    """Return what a folder may be: one candidate where its files leave no doubt.

    Annotations, tables and masks explain folders; folders are classes only where nothing else says what images show.
    Where train has good images alone, nothing else can be meant.

    Args:
        folder: of images and what is known of them.
        wanted: keys of a section of `datasets:` that are settled, e.g. `format`.

    Raises:
        UserError: no format reads it; the message says what was tried and why it failed.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: {'is a file; give the folder that it is in' if folder.exists() else 'no such folder'}"
        )
    files, wanted = Listing(folder), dict(wanted or {})
    _require_known(wanted)
    if not files.images and not any(propose_idx(files)):
        raise UserError(f"{folder}: no images in it; expected .jpg, .png or the like, or IDX files as MNIST's")
    failures: list[str] = []
    for proposers in ((propose_mvtec,), (*_PROPOSERS, _propose_own), (propose_folders,)):
        found = []
        for propose in proposers:
            for proposal in propose(files):
                if not all(key == "root" or proposal.section.get(key, value) == value for key, value in wanted.items()):
                    continue
                made = _tried(folder, files, proposal, wanted)
                if isinstance(made, Candidate):
                    found.append(made)
                else:
                    failures.append(made)
        if found:
            return _without_repeats(found)
    raise UserError(_refusal(folder, files, failures, wanted))


def _propose_own(files: Listing) -> Iterator[Proposal]:
    """Yield what formats of other packages say of the folder."""
    for name, kind in sections(FORMATS, OwnFormat, "format").items():
        if kind.recogniser:
            for section in implementation(kind.recogniser)(files.root):
                yield Proposal({"format": name, **section}, f"files of the format {name}")


def _tried(folder: Path, files: Listing, proposal: Proposal, wanted: Mapping[str, Any]) -> Candidate | str:
    """Return a candidate, or why the reader of the format refuses."""
    inner = files.wrapped()
    roots = [folder] if not proposal.inner or inner == "." else [folder / inner, folder]
    if proposal.section["format"] == "image_folder" and [*files.by_folder] == [inner]:
        roots = [(folder / inner).parent]  # that folder is no wrapping, but the only class
    problem = ""
    for root in roots:
        section = {"format": proposal.section["format"], "root": str(root)} | proposal.section | dict(wanted)
        try:
            dataset = TypeAdapter(Dataset).validate_python(section)
            source = open_files(dataset)
            tasks = ("anomaly",) if dataset.good_alone_in_train else _tasks(source, root)
        except ValidationError as error:
            problem = problem or _mistake(error)
        except UserError as error:
            problem = problem or error.lines[0]
        else:
            return Candidate(section, proposal.seen, tasks, len(source), proposal.notes)
    return f"{proposal.seen}: {problem}"


def _require_known(wanted: Mapping[str, Any]) -> None:
    """Check that settled keys are keys of some format.

    Raises:
        UserError: one is not.
    """
    known = {key for kind in get_args(get_args(Dataset)[0]) for key in kind.model_fields}
    for key in wanted:
        if key not in known:
            raise UserError(
                f"{key}: no such key of a data set{nearest(key, known)}; there are {', '.join(sorted(known))}"
            )


def _mistake(error: ValidationError) -> str:
    """Return the first mistake in a section, by its key."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg'].removeprefix('Value error, ')}"


def _tasks(source: Source, root: Path) -> tuple[str, ...]:
    """Return the kinds of task that samples teach.

    Raises:
        UserError: they teach nothing.
    """
    samples = list(_examples(source))
    if not samples:
        raise UserError(f"{root}: none of its samples can be used")
    if any(sample.text for sample in samples):
        return ("text_recognition",)
    if any(sample.values for sample in samples):
        return ("regression",)
    if any(sample.keypoints is not None and (sample.keypoints[..., 2] > 0).any() for sample in samples):
        return ("keypoints",)
    if any(sample.boxes is not None and len(sample.boxes) for sample in samples):
        outlined = any(any(_has_area(mask) for mask in sample.instances) for sample in samples)
        return ("instance_segmentation", "detection") if outlined else ("detection",)
    if any(sample.semantic is not None and sample.boxes is None for sample in samples):
        return ("semantic_segmentation",)
    if source.sample_labels is not None:
        require_two_classes(root, source.labels)
        return ("classification",)
    if any(sample.labels for sample in samples):
        return ("multilabel",)
    raise UserError(f"{root}: nothing that can be learned: no classes, no numbers, no objects")


def _examples(source: Source) -> Iterator[Sample]:
    step = max(1.0, len(source) / _EXAMPLES)
    for place in range(min(_EXAMPLES, len(source))):
        try:
            sample, _ = source.examined(int(place * step))
        except (Unreadable, ValueError):
            continue
        yield sample


def _has_area(mask: Mapping[str, Any]) -> bool:
    from pycocotools import mask as coco_masks

    return bool(coco_masks.area(mask))


def _without_repeats(found: Sequence[Candidate]) -> list[Candidate]:
    """Leave out what only repeats another candidate, and columns of numbers in a table of classes or texts."""
    found = list({str(one.section): one for one in found}.values())
    known = ("classification", "multilabel", "text_recognition")
    labelled = {one.section.get("table") for one in found if one.tasks[0] in known}
    return [one for one in found if not ("values" in one.section and one.section.get("table") in labelled)]


def _refusal(folder: Path, files: Listing, failures: Sequence[str], wanted: Mapping[str, Any]) -> list[str]:
    settled = f" with {', '.join(f'{key}={value}' for key, value in wanted.items())}" if wanted else ""
    if not failures:
        return [
            f"{folder}: {len(files.images)} images, but nothing that says what they show{settled}; put the images of "
            "each class into a folder of its name, or add annotations: a table, COCO, VOC, YOLO, DOTA, VIA, mask "
            "pictures"
        ]
    return [f"{folder}: no format reads it{settled}:", *(f"  {failure}" for failure in failures)]
