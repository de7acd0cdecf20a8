"""YOLO's text files: one per image, a row per object (see `yolo_rows`).

`images/.../NAME.jpg` belongs to `labels/.../NAME.txt` (the last folder called images is replaced); where there is none,
the text file is next to its image. The split is that of data.yaml, of lists called train.txt, val.txt and test.txt, or
of folders called so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from sightline.data.raw.annotations import Annotation
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import Annotated, AnnotatedSource, similar_names
from sightline.data.raw.formats.pairing import Pairing
from sightline.data.raw.formats.source import is_image, require_root, visible_files
from sightline.data.raw.formats.text import BrokenText, read_text
from sightline.data.raw.formats.yolo_names import Description, describe, is_name_list
from sightline.data.raw.formats.yolo_rows import BrokenRow, examine_outlines, read_row
from sightline.data.raw.formats.yolo_split import read_split
from sightline.data.structures import LabelMap, SplitName
from sightline.system.errors import UserError


def open_yolo(root: Path, batch: bool = False, oriented: bool = False) -> AnnotatedSource:
    """Return the images below `root`; classes are in the order of their numbers.

    Args:
        root: of the data set.
        batch: whether it is a batch, which may bring some of the parts that its data.yaml names.
        oriented: whether rows of four corners are oriented boxes, and not outlines.

    Raises:
        UserError: there are no images, no class names, or names or a split that cannot be read.
    """
    require_root(root)
    paths = list(visible_files(root))
    told = describe(root, paths)
    if oriented and told.points is not None:
        raise UserError(
            f"{root}/{told.place}: kpt_shape names key points, which oriented boxes have not; "
            "remove `boxes: oriented` in params.yaml"
        )
    images = [path for path in paths if is_image(path)]
    if not images:
        raise UserError(f"{root}: no images; put them into {root}/images and their text files into {root}/labels")
    texts = [path for path in paths if path.lower().endswith(".txt") and not is_name_list(path)]
    pairing = Pairing(images, texts, ("images",), ("labels",))
    _require_place(root, images, pairing)
    split = read_split(root, told, paths, pairing.unused, batch)
    used, unlisted = split.divided(images, batch)
    reader = _Reader(root, told, oriented)
    entries = [
        _shared(path, pairing, used) or reader.entry(path, pairing.files.get(path), part) for path, part in used.items()
    ]
    findings = split.findings + reader.findings + _lost(root, pairing.unused) + similar_names(reader.labels.classes)
    findings += examine_outlines([one for entry in entries for one in entry.annotations])
    return AnnotatedSource(root, reader.labels, entries, findings, unlisted, oriented)


class _Reader:
    """Reads text files of one data set, and notes what cannot be used."""

    def __init__(self, root: Path, told: Description, oriented: bool) -> None:
        self.root, self.points, self.oriented = root, told.points, oriented
        keypoints = (told.points.names, told.points.mirrored) if told.points else ((), ())
        self.labels = LabelMap(
            tuple(told.names.values()),
            tuple(map(str, told.names)),
            keypoints=keypoints[0],
            mirrored=keypoints[1],
        )
        by_name = {name: label for label, name in enumerate(self.labels.classes) if not _is_number(name)}
        self.by_class = by_name | {number: label for label, number in enumerate(self.labels.source_ids)}
        self.findings: list[Finding] = []

    def entry(self, path: str, text: str | None, part: SplitName | None) -> Annotated:
        """Return an image with the rows of its text file."""
        if text is None:
            return Annotated(path, [], part)
        try:
            rows = read_text(self.root / text).splitlines()
        except BrokenText as error:
            return Annotated(path, [], part, problem=f"{text}: {error}")
        made = [
            read_row(f"{text}: line {number}", row.split(), self.by_class, self.points, self.oriented)
            for number, row in enumerate(rows, 1)
            if row.strip("\0 \t")
        ]
        self.findings += [Finding(one.code, path, one.reason) for one in made if isinstance(one, BrokenRow)]
        return Annotated(path, [one for one in made if isinstance(one, Annotation)], part)


def _shared(path: str, pairing: Pairing, used: Mapping[str, SplitName | None]) -> Annotated | None:
    """Return an image that has to be left out, as nothing says to which of several its text file belongs."""
    others = pairing.sharing(path, used)
    if not others:
        return None
    told = f"{pairing.files[path]} also belongs to {', '.join(others)}"
    return Annotated(path, [], used[path], problem=told, code="shared_file")


def _require_place(root: Path, images: Collection[str], pairing: Pairing) -> None:
    """Check that text files with the names of the images are not all in a folder that is not read.

    Raises:
        UserError: they do.
    """
    stems = {PurePosixPath(path).stem for path in images}
    astray = [text for text in pairing.unused if PurePosixPath(text).stem in stems and _holds_rows(root / text)]
    if astray and not pairing.files:
        folder = PurePosixPath(astray[0]).parent.as_posix()
        raise UserError(
            f"{root}: {len(astray)} text files, {astray[0]} first, have the names of images, but are not where "
            f"labels are expected; move what is in {folder}/ into a folder `labels` with the same folders in it "
            f"as `images` has"
        )


def _lost(root: Path, unused: Collection[str]) -> list[Finding]:
    """Return a finding for each text file that has rows, or is next to those that do, and has no image."""
    findings = []
    for text in unused:
        folders = [part.lower() for part in PurePosixPath(text).parts[:-1]]
        if "labels" in folders or _holds_rows(root / text):
            findings.append(Finding("unused_file", text, "there is no image with its name"))
    return findings


def _holds_rows(file: Path) -> bool:
    try:
        first = next((row for row in read_text(file).splitlines() if row.strip()), "")
    except BrokenText:
        return False
    cells = first.split()
    return len(cells) > 4 and all(map(_is_number, cells))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
