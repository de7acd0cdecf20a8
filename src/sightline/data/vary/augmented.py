"""From a prepared training split to `data/augmented/NAME`: a policy, its copies, and a report on what it does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812
import numpy as np

from sightline.config.augmentations import Augmentation, Entry, Mixing, ReadyPolicy, divide_policy
from sightline.data.contact_sheet import draw_variants
from sightline.data.rows import sample_row, write_rows
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Sample
from sightline.data.vary.augmentation import Augmenter, build_policy
from sightline.data.vary.variants import Opened, close_sample, open_sample, vary
from sightline.system.files import new_folder, write_json

_ROWS, _VARIANTS = 8, 5  # of the contact sheet
_LOOKED_AT = 1000  # images at most, by which losses and speed are measured


@dataclass(frozen=True)
class Effect:
    """What a policy does to a training split.

    Attributes:
        images: how many of them were varied once to find out.
        images_per_second: with one process, without decoding; the only value that differs from run to run.
        boxes: before.
        boxes_lost: share of boxes of which less than a tenth stays in the image.
        keypoints: that are marked before.
        keypoints_lost: share of key points that leave the image.
        copies: samples written.
    """

    images: int
    images_per_second: float
    boxes: int
    boxes_lost: float
    keypoints: int
    keypoints_lost: float
    copies: int


def make_augmentation(
    name: str, augmentation: Augmentation, seed: int, prepared: Path, output: Path, report: Path
) -> Effect:
    """Write a policy with its copies to `output`, and pictures and numbers of it to `report`.

    Args:
        name: of the section.
        augmentation: the section.
        seed: of what is drawn.
        prepared: `data/prepared/DATASET`, of which the training split is read.
        output: `data/augmented/NAME`.
        report: `reports/augment/NAME`.

    Raises:
        UserError: a transform that cannot be applied to the images.
    """
    labels, store = load_labels(prepared), SplitStore(prepared / "train")
    transforms, mixing = divide_policy(augmentation.policy)
    augment = Augmenter(transforms, seed, labels.mirrored, keeps_size=False)
    effect = measure_effect(store, augment, augmentation.copies * len(store))
    with new_folder(output) as folder:
        write_json(folder / "policy.json", describe_policy(transforms, mixing, augmentation.copies))
        if augmentation.copies:
            write_json(folder / "labels.json", labels.to_json())
            write_copies(folder / "copies", store, augment, augmentation.copies)
    with new_folder(report) as folder:
        draw_variants(sheet_rows(store, augment), labels).save(folder / "sheet.png")
        write_json(folder / "summary.json", asdict(effect))
        page = render_report(name, augmentation, effect, [type(kind).__name__ for kind in mixing])
        (folder / "report.md").write_text(page, encoding="utf-8")
    return effect


def describe_policy(transforms: ReadyPolicy | list[Entry], mixing: Sequence[Mixing], copies: int) -> dict[str, Any]:
    """Return all that decides what a policy does: transforms as Albumentations writes them, mixing, copies."""
    built = build_policy(transforms)
    return {
        "transforms": None if built is None else A.to_dict(built),
        "mixing": [{type(kind).__name__: kind.model_dump()} for kind in mixing],
        "copies": copies,
    }


def write_copies(folder: Path, store: SplitStore, augment: Augmenter, copies: int) -> None:
    """Write `copies` variants of every sample as a separate split, in the store's format.

    A variant's id is a hash of its original's id and its number, so the same originals have the same ids.
    """
    channels, ids = store.column("channels"), store.ids
    shapes = zip(store.column("height"), store.column("width"), channels, strict=True)
    size = copies * sum(height * width * depth for height, width, depth in shapes) // 2  # PNG halves photographs

    def name(place: int) -> str:
        index, number = divmod(place, copies)
        return hashlib.sha256(f"{ids[index]}\0copy {number}".encode()).hexdigest()[:16]

    def row(place: int) -> dict[str, Any]:
        index, number = divmod(place, copies)
        varied = vary(open_sample(store.sample(index), channels[index]), augment, number, f"copy {ids[index]}")
        sample = close_sample(varied)
        sample.source = f"{sample.source}#{number}"
        return sample_row(name(place), sample, varied.image.shape, hashlib.sha256(sample.image).hexdigest())

    write_rows(folder, map(name, range(len(store) * copies)), size, lambda places: map(row, places))


def measure_effect(store: SplitStore, augment: Augmenter, copies: int) -> Effect:
    """Vary up to a thousand images once; count what leaves them, and take the time."""
    chosen = _spread(len(store), _LOOKED_AT)
    channels, seconds, boxes, points = store.column("channels"), 0.0, np.zeros(2, int), np.zeros(2, int)
    for index in chosen:
        opened = open_sample(store.sample(index), channels[index])
        started = time.perf_counter()
        varied = vary(opened, augment, 0, store.ids[index])
        seconds += time.perf_counter() - started
        boxes += [len(opened.geometry.boxes), len(varied.geometry.boxes)]
        points += [_marked(opened), _marked(varied)]
    return Effect(
        len(chosen),
        round(len(chosen) / seconds, 1),
        int(boxes[0]),
        round(float(1 - boxes[1] / max(1, boxes[0])) if boxes[0] else 0.0, 4),
        int(points[0]),
        round(float(1 - points[1] / max(1, points[0])) if points[0] else 0.0, 4),
        copies,
    )


def _marked(opened: Opened) -> int:
    points = opened.geometry.keypoints
    return 0 if points is None else int((points[..., 2] > 0).sum())


def sheet_rows(store: SplitStore, augment: Augmenter) -> list[list[Sample]]:
    """Return some samples, each followed by its first variants."""
    channels, rows = store.column("channels"), []
    for index in _spread(len(store), _ROWS):
        opened = open_sample(store.sample(index), channels[index])
        variants = [vary(opened, augment, number, store.ids[index]) for number in range(_VARIANTS)]
        rows.append([close_sample(own) for own in (opened, *variants)])
    return rows


def _spread(count: int, most: int) -> list[int]:
    """Return up to `most` of `count` indices, evenly spread."""
    places = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return [int(place) for place in np.unique(places)]


def render_report(name: str, augmentation: Augmentation, effect: Effect, mixing: Sequence[str]) -> str:
    """Return a page in plain words, with a warning if more boxes are lost than the section allows."""
    lines = [f"# Augmentation {name}", ""]
    if effect.boxes_lost > augmentation.max_lost_boxes:
        lines += [
            f"**Warning: {effect.boxes_lost:.1%} of the boxes leave the image, more than "
            f"max_lost_boxes: {augmentation.max_lost_boxes:g}.** The model does not see these objects when they "
            "are lost; use smaller shifts and crops.",
            "",
        ]
    lines += [
        "Training images in the first column, and next to them variants that training may draw:",
        "",
        "![Training images and variants of them](sheet.png)",
        "",
        f"- {effect.images} images were varied once, {effect.images_per_second:,.0f} per second with one process.",
    ]
    if effect.boxes:
        lines.append(f"- {effect.boxes_lost:.1%} of {effect.boxes} boxes left the image by nine tenths or more.")
    if effect.keypoints:
        lines.append(f"- {effect.keypoints_lost:.1%} of {effect.keypoints} key points left the image.")
    if mixing:
        lines.append(f"- Batches are also mixed, which the picture does not show: {', '.join(mixing)}.")
    if effect.copies:
        lines.append(f"- {effect.copies} variants are stored as copies; training uses them unchanged.")
    return "\n".join(lines) + "\n"
