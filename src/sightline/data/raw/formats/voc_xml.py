"""One XML file of Pascal VOC: the objects of an image.

Coordinates are read as the VOC development kit does (VOCevaldet.m counts `xmax - xmin + 1` pixels): from 1, and the
last pixel is included. A box from `xmin` to `xmax` therefore covers x from `xmin - 1` to `xmax` here.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from sightline.data.raw.annotations import Annotation, Size
from sightline.data.raw.findings import Code
from sightline.data.raw.formats.annotated import class_name, whole
from sightline.data.raw.formats.text import BrokenText, decoded, read_bytes, told_by_bytes

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_OTHER_SHAPES = ("polygon", "segmentation", "robndbox", "ellipse", "mask")
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}  # as writers of the smaller sets use characters of the larger one
_ONE_BYTE = ("iso8859", "cp125", "ascii")
_TRUE = frozenset({"1", "true", "yes", "y", "t"})


@dataclass
class VocFile:
    """What an XML file says.

    Attributes:
        objects: class names with annotations, whose labels are not known before all files are read.
        size: height and width that it was made for, if it says so.
        lost: objects that cannot be used, and why.
        problem: what makes all of it unusable, if anything.
    """

    objects: list[tuple[str, Annotation]] = field(default_factory=list)
    size: Size | None = None
    lost: list[tuple[Code, str]] = field(default_factory=list)
    problem: str | None = None


def read_xml(root: Path, path: str) -> VocFile:
    """Return what the XML file at `path` below `root` says; entities are never expanded."""
    try:
        tree = _parsed(read_bytes(root / path))
    except BrokenText as error:
        return VocFile(problem=f"{path}: {error}")
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2].lower()  # without namespace
    if tree.tag != "annotation":
        return VocFile(problem=f"{path}: its first element is {tree.tag}, expected annotation, as in Pascal VOC")
    file = VocFile(size=_size(tree))
    for number, element in enumerate(tree.iterfind("object"), 1):
        made = _object(f"{path}: object {number}", element)
        if isinstance(made[1], Annotation):
            file.objects.append((made[0], made[1]))
        else:
            file.lost.append(made)
    return file


def _parsed(data: bytes) -> ElementTree.Element:
    """Return the root of an XML document in any encoding that Python knows.

    Expat reads UTF-8, UTF-16 and encodings of one byte; it raises ValueError for others, as GB 2312.

    Raises:
        BrokenText: it is not in the encoding that it declares, not XML, or declares entities.
    """
    text = _decoded(data)
    if "<!ENTITY" in text:
        raise BrokenText("declares entities, which are not supported; export it without them")
    try:
        return ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
    except (ElementTree.ParseError, ValueError) as error:
        raise BrokenText(f"not XML: {error}") from None


def _decoded(data: bytes) -> str:
    told = told_by_bytes(data)
    declared = _DECLARED.match(data)
    if told or not declared:
        return decoded(data, told or "utf-8")
    name = declared.group(1).decode()
    try:
        encoding = codecs.lookup(name).name
        if encoding.startswith(("utf-16", "utf-32")):  # then the declaration could not have been read; .NET does so
            encoding = "utf-8"
        text = decoded(data, _WIDER.get(encoding, encoding))
        if _must_be_utf8(data, encoding):
            raise BrokenText("UTF-8 text")
        return text
    except LookupError:  # also of base64 and the like, which are no encodings of text
        raise BrokenText(f"declares the encoding {name!r}, which is unknown") from None
    except BrokenText as error:
        raise BrokenText(f"{error}, though it declares {name}") from None


def _must_be_utf8(data: bytes, encoding: str) -> bool:
    """Return whether bytes are UTF-8 beyond doubt, although another encoding is declared.

    Two letters of a Chinese encoding may look like two of UTF-8 with two bytes each, hardly like one with three.
    """
    try:
        highest = max(data.decode(), default="")
    except UnicodeDecodeError:
        return False
    return encoding != "utf-8" and (highest > "\u07ff" or (highest > "\x7f" and encoding.startswith(_ONE_BYTE)))


def _object(place: str, element: ElementTree.Element) -> tuple[str, Annotation] | tuple[Code, str]:
    name = class_name(element.findtext("name") or "")
    box = [number_of(element.findtext(f"bndbox/{side}")) for side in _SIDES]
    left, top, right, bottom = box
    if not name:
        return "unknown_class", f"{place}: name is empty"
    if element.find("bndbox") is None:
        other = next((shape for shape in _OTHER_SHAPES if element.find(shape) is not None), None)
        told = f"has a {other}, but no bndbox" if other else "has no bndbox"
        return "broken_line", f"{place}: {told}"
    if left is None or top is None or right is None or bottom is None:
        missing = ", ".join(side for side, value in zip(_SIDES, box, strict=True) if value is None)
        return "broken_line", f"{place}: bndbox: {missing} is not a number"
    difficult = (element.findtext("difficult") or "").strip().lower()
    marked = difficult in _TRUE or number_of(difficult) == 1
    return name, Annotation(place, -1, (left - 1, top - 1, right, bottom), difficult=marked)


def _size(tree: ElementTree.Element) -> Size | None:
    height, width = (whole(number_of(tree.findtext(f"size/{side}"))) for side in ("height", "width"))
    return (height, width) if height and width else None  # some tools write zeros


def number_of(text: str | None) -> float | None:
    """Return the number that a text holds, None if it holds none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
