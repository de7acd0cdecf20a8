"""Pascal VOC: one XML file per image, in Annotations beside JPEGImages (or images), or next to the image.

The split is that of the lists in ImageSets/Main, or of folders called train, val (valid) and test.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sightline.data.raw.findings import Finding
from sightline.data.raw.formats.annotated import Annotated, AnnotatedSource, similar_names
from sightline.data.raw.formats.pairing import Pairing
from sightline.data.raw.formats.source import is_image, require_root, visible_files
from sightline.data.raw.formats.voc_lists import read_lists
from sightline.data.raw.formats.voc_xml import VocFile, read_xml
from sightline.data.structures import LabelMap, SplitName
from sightline.system.errors import UserError

_IMAGES = ("jpegimages", "images")
_XML = ("annotations", "xml", "xmls")


def open_voc(root: Path, batch: bool = False) -> AnnotatedSource:
    """Return the images, those in the lists where there are some; classes are in alphabetical order.

    Args:
        root: of the data set.
        batch: whether it is a batch, whose lists may name images that it does not bring.

    Raises:
        UserError: there are no images or XML files, lists cannot be used, or nothing is labelled.
    """
    require_root(root)
    paths = list(visible_files(root))
    images = _images(paths)
    files = [path for path in paths if path.lower().endswith(".xml")]
    if not images or not files:
        missing = "no images" if not images else "no XML files"
        raise UserError(f"{root}: {missing}; a VOC data set has Annotations/ and JPEGImages/, or both in one folder")
    pairing = Pairing(images, files, _IMAGES, _XML)
    split = read_lists(root, paths, images, batch)
    used, unlisted = split.divided(images, batch)
    read = {path: _read(root, path, pairing, used) for path in used}
    classes = tuple(sorted({kind for file in read.values() for kind, _ in file.objects}))
    if not classes:
        raise UserError(f"{root}: no labelled objects{_first(read)}; label some, or correct `root` in params.yaml")
    findings = [*split.findings, *similar_names(classes)]
    findings += [Finding(code, path, told) for path, file in read.items() for code, told in file.lost]
    findings += [Finding("unused_file", path, "there is no image with its name") for path in pairing.unused]
    number = {name: label for label, name in enumerate(classes)}
    entries = [
        Annotated(
            path,
            [replace(annotation, label=number[kind]) for kind, annotation in file.objects],
            used[path],
            file.size,
            file.problem,
            "shared_file" if pairing.sharing(path, used) else "broken_file",
        )
        for path, file in read.items()
    ]
    return AnnotatedSource(root, LabelMap(classes, classes), entries, findings, unlisted)


def _images(paths: Collection[str]) -> list[str]:
    """Return the images: those below folders called JPEGImages where there are some, as VOC has masks next to them."""
    images = [path for path in paths if is_image(path)]
    for name in _IMAGES:
        inside = [path for path in images if name in PurePosixPath(path.lower()).parts[:-1]]
        if inside:
            return inside
    return images


def _read(root: Path, path: str, pairing: Pairing, used: Mapping[str, SplitName | None]) -> VocFile:
    """Return what is said of an image; nothing where there is no file, or the file may be another image's."""
    others = pairing.sharing(path, used)
    if others:
        return VocFile(problem=f"{pairing.files[path]} also belongs to {', '.join(others)}")
    return read_xml(root, pairing.files[path]) if path in pairing.files else VocFile()


def _first(read: Mapping[str, VocFile]) -> str:
    problems = (told for file in read.values() for told in (file.problem, *(reason for _, reason in file.lost)))
    problem = next((told for told in problems if told), None)
    return f" ({problem})" if problem else ""
