"""Which mask belongs to which image, by their names."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import PerSplit, parts_of
from sightline.data.raw.formats.pairing import loose, without_suffix
from sightline.data.raw.formats.source import is_image, require_root, visible_files
from sightline.data.structures import SplitName
from sightline.system.errors import UserError

_LOSSY = {".jpg": 3, ".jpeg": 3, ".jpe": 3, ".jfif": 3, ".webp": 2, ".avif": 2, ".jp2": 2, ".png": 0}  # others: 1


class MaskedImage(NamedTuple):
    """An image and its mask, paths below the root.

    Attributes:
        mask: None if there is none.
        sharing: another image whose name differs from this one only in the suffix.
    """

    path: str
    mask: str | None
    split: SplitName | None
    sharing: str | None = None


def pair_masks(root: Path, images: PerSplit, masks: PerSplit, suffix: str) -> tuple[list[MaskedImage], list[Finding]]:
    """Return the images with the masks of the same name, and a finding for each mask that is not used.

    Args:
        root: folder of the raw files.
        images: their folder, or one per split.
        masks: the folder of the masks, or one per split.
        suffix: what a mask's name has after its image's.

    Raises:
        UserError: a folder is missing, or no image has a mask.
    """
    require_root(root)
    pairs: dict[str, MaskedImage] = {}
    findings: dict[str, Finding] = {}
    for split, mask_folder, image_folder in parts_of(masks, images):
        own, drawn = _listed(root, image_folder, mask_folder, suffix)
        best, second = _best(drawn)
        findings |= {finding.source: finding for finding in second}
        twins = _twins(own)
        for place, mask in _matched(own, best, image_folder, mask_folder, suffix).items():
            if place not in pairs or (mask and pairs[place].mask is None):  # splits may share a folder of images
                pairs[place] = MaskedImage(place, mask, split, twins.get(place) if mask else None)
            elif mask:
                told = f"has masks in {pairs[place].split} and {split}; keep it in one split"
                raise UserError(f"{root / place}: {told}")
        for path in best:
            wanted = PurePosixPath(image_folder, _name(path, mask_folder).removesuffix(suffix))
            findings.setdefault(path, Finding("unused_file", path, f"there is no image {wanted}"))
    used = {pair.mask for pair in pairs.values()}
    if not used - {None}:
        raise UserError(
            f"{root}: no image has a mask with its name{f' and {suffix!r}' if suffix else ''}; "
            f"correct images, masks or mask_suffix{_likely_suffix(pairs, findings)}"
        )
    return sorted(pairs.values()), [finding for path, finding in findings.items() if path not in used]


def _listed(root: Path, image_folder: str, mask_folder: str, suffix: str) -> tuple[list[str], list[str]]:
    """Return the paths of images and of masks below the root; they may be the same folder, or one inside the other."""
    images, masks = _images(root, image_folder, "images"), _images(root, mask_folder, "masks")
    ours, theirs = PurePosixPath(image_folder), PurePosixPath(mask_folder)
    if ours == theirs:
        if not suffix:
            raise UserError(
                f"{root}: images and masks are in the same folder; set `mask_suffix`, e.g. _mask, to distinguish them"
            )
        masks = [path for path in masks if without_suffix(path).endswith(suffix)]
        return sorted(set(images) - set(masks)), masks
    if theirs.is_relative_to(ours):
        return sorted(set(images) - set(masks)), masks
    return images, sorted(set(masks) - set(images))


def _images(root: Path, folder: str, field: str) -> list[str]:
    if not (root / folder).is_dir():
        raise UserError(f"{root / folder}: no such folder; correct `{field}` in params.yaml")
    return [PurePosixPath(folder, path).as_posix() for path in visible_files(root / folder) if is_image(path)]


def _name(path: str, folder: str) -> str:
    return without_suffix(PurePosixPath(path).relative_to(folder).as_posix())


def _twins(images: Iterable[str]) -> dict[str, str]:
    """Return another image for each one that differs from it in the suffix alone."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in images:
        by_name[without_suffix(path)].append(path)
    return {path: same[place - 1] for same in by_name.values() if len(same) > 1 for place, path in enumerate(same)}


def _best(masks: Iterable[str]) -> tuple[list[str], list[Finding]]:
    """Return one mask of each name, and findings for the others, as colour previews are next to index masks."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in masks:
        by_name[without_suffix(path)].append(path)
    ordered = [
        sorted(same, key=lambda path: (_LOSSY.get(PurePosixPath(path).suffix.lower(), 1), path))
        for same in by_name.values()
    ]
    findings = [Finding("second_mask", path, f"{same[0]} is used") for same in ordered for path in same[1:]]
    return [same[0] for same in ordered], findings


def _matched(
    images: Sequence[str], masks: Sequence[str], image_folder: str, mask_folder: str, suffix: str
) -> dict[str, str | None]:
    """Return the mask of each image; case and the composition of accents count only if they distinguish masks."""
    exact = {_name(path, mask_folder): path for path in masks}
    alike: dict[str, list[str]] = defaultdict(list)
    for stem, path in exact.items():
        alike[loose(stem)].append(path)
    found: dict[str, str | None] = {}
    for path in images:
        wanted = _name(path, image_folder) + suffix
        others = alike.get(loose(wanted), [])
        found[path] = exact.get(wanted) or (others[0] if len(others) == 1 else None)
    return found


def _likely_suffix(images: Iterable[str], masks: Iterable[str]) -> str:
    """Return the `mask_suffix` that most images would need, as a hint."""
    stems = sorted(PurePosixPath(path).stem for path in masks)
    ends: Counter[str] = Counter()
    names = [PurePosixPath(path).stem for path in images]
    for name in names:
        place = bisect_left(stems, name)
        if place < len(stems) and stems[place].startswith(name):
            ends[stems[place].removeprefix(name)] += 1
    suffix, count = next(iter(ends.most_common(1)), ("", 0))
    return f"; the names match with `mask_suffix: {suffix!r}`" if 2 * count > len(names) else ""
