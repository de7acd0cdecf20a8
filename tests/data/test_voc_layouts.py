"""Pascal VOC as tools write it: other folders, lists of other forms, XML in other encodings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_folders import COUNT, WIDTH, height_of, name_of, objects_of, picture, write_voc, xml_of
from raw_folders import config

from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.voc_xml import read_xml
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import Sample
from sightline.system.errors import UserError

FIRST, SECOND, THIRD = range(6), range(6, 9), range(9, 12)
PARTS = {FIRST: "train", SECOND: "val", THIRD: "test"}


def with_lists(root: Path, folder: str = "ImageSets/Main", **lists: str) -> Any:
    dataset = write_voc(root)
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        (root / folder / f"{name}.txt").write_text(text)
    return dataset


def lines(numbers: range, form: str = "{}") -> str:
    return "".join(form.format(name_of(number)) + "\n" for number in numbers)


def samples_of(dataset: Any) -> dict[int, Sample]:
    source = open_source(dataset)
    samples = [source.sample(index) for index in range(len(source))]
    return {int(Path(sample.source).stem): sample for sample in samples}


def require_objects(samples: dict[int, Sample]) -> None:
    for number, sample in samples.items():
        boxes = np.array([box for _, box in objects_of(number)]).reshape(-1, 4)
        np.testing.assert_allclose(sample.boxes, boxes)
        assert sample.box_labels == [label for label, _ in objects_of(number)]


def findings_of(dataset: Any, code: str) -> list[tuple[str, str]]:
    return [(one.source, one.reason) for one in open_source(dataset).findings if one.code == code]


def _three(form: str, folder: str = "ImageSets/Main", suffix: str = "") -> Callable[[Path], Any]:
    return lambda root: with_lists(root, folder, **{part + suffix: lines(own, form) for own, part in PARTS.items()})


def _nested(root: Path) -> Any:
    """As CVAT writes it: a folder below both, told in the lists."""
    dataset = _three("s1/{}")(root)
    for folder, suffix in (("JPEGImages", "png"), ("Annotations", "xml")):
        (root / folder / "s1").mkdir()
        for path in sorted((root / folder).glob(f"*.{suffix}")):
            path.rename(path.parent / "s1" / path.name)
    return dataset


def _below(root: Path) -> Any:
    _three("{}")(root / "VOCdevkit/VOC2007")
    return config(format="voc", root=str(root))


def _flat(root: Path) -> Any:
    """As Roboflow writes it: a folder per part, with each XML file beside its image."""
    dataset = write_voc(root)
    for numbers, part in PARTS.items():
        folder = root / {"val": "valid"}.get(part, part)
        folder.mkdir()
        for number in numbers:
            (root / f"JPEGImages/{name_of(number)}.png").rename(folder / f"{name_of(number)}.png")
            (root / f"Annotations/{name_of(number)}.xml").rename(folder / f"{name_of(number)}.xml")
    return dataset


def _both(root: Path, **lists: str) -> Any:
    return with_lists(root, trainval=lines(range(9)), test=lines(THIRD), **lists)


SPLIT: dict[str, Callable[[Path], Any]] = {
    "names": _three("{}"),
    "with suffix": _three("{}.png"),
    "with another suffix": _three("{}.jpg"),
    "pairs of a class": _three("{} -1"),
    "pairs of paths": _three("JPEGImages/{0}.png Annotations/{0}.xml"),
    "paths": _three("./JPEGImages/{}.png"),
    "absolute": _three("/home/me/VOC2007/JPEGImages/{}.png"),
    "windows": _three("JPEGImages\\{}.png\r"),
    "lists of paddle": _three("./JPEGImages/{0}.png ./Annotations/{0}.xml", ".", "_list"),
    "without Main": _three("{}", "ImageSets"),
    "in capitals": _three("{}", "imagesets/MAIN"),
    "nothing but lists of classes": _three("{}  1", suffix=""),
    "a class each": lambda root: with_lists(
        root, **{f"cat_{part}": lines(own, "{} -1") for own, part in PARTS.items()}, cat_trainval=lines(range(9))
    ),
    "in a folder": _nested,
    "below the root": _below,
    "folders": _flat,
    "trainval and val": lambda root: _both(root, val=lines(SECOND)),
    "trainval and train": lambda root: _both(root, train=lines(FIRST)),
}


@pytest.mark.parametrize("case", SPLIT)
def test_a_given_split_is_followed(tmp_path: Path, out: Path, case: str) -> None:
    dataset = SPLIT[case](tmp_path / "raw")
    samples = samples_of(dataset)
    require_objects(samples)
    assert {number: sample.split for number, sample in samples.items()} == {
        number: part for numbers, part in PARTS.items() for number in numbers
    }
    prepare("tiny", dataset, out)
    for numbers, part in PARTS.items():
        assert sorted(int(Path(path).stem) for path in SplitStore(out / part).sources) == list(numbers)


def test_lists_of_nothing_known_are_refused(tmp_path: Path) -> None:
    dataset = with_lists(tmp_path / "raw", train=lines(FIRST), val=lines(SECOND, "x/{}_a"))
    told = r"raw/ImageSets/Main/val.txt: line 1: 'x/006_a': none of its 3 lines names an image of the data set; correct"
    with pytest.raises(UserError, match=told):
        open_source(dataset)


def test_lists_that_are_not_followed_are_told(tmp_path: Path) -> None:
    dataset = with_lists(tmp_path / "raw", default=lines(range(12)))
    assert len(open_source(dataset)) == COUNT
    told = "ignored: lists must be named train, trainval, val or test"
    assert findings_of(dataset, "given_split") == [("ImageSets/Main/default.txt", told)]


def _moved(pairs: dict[str, str]) -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        dataset = write_voc(root)
        for old, new in pairs.items():
            for path in sorted(root.glob(old)):
                path.rename(root / new.format(stem=path.stem))
        return dataset

    return make


def _xml(change: Callable[[str], str | bytes]) -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        dataset = write_voc(root)
        for number in range(COUNT):
            changed = change(xml_of(number))
            data = changed if isinstance(changed, bytes) else changed.encode()
            (root / f"Annotations/{name_of(number)}.xml").write_bytes(data)
        return dataset

    return make


def _part(text: str) -> str:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    return text.replace("</name>", f"</name>{part}")


READ: dict[str, Callable[[Path], Any]] = {
    "suffix in capitals": _moved({"Annotations/*[02468].xml": "Annotations/{stem}.XML"}),
    "folders in lower case": _moved({"Annotations": "annotations", "JPEGImages": "jpegimages"}),
    "folders of kaggle": _moved({"Annotations": "annotations", "JPEGImages": "images"}),
    "beside the image": _moved({"Annotations/*.xml": "JPEGImages/{stem}.xml"}),
    "at the root": _moved({"Annotations/*.xml": "{stem}.xml", "JPEGImages/*.png": "{stem}.png"}),
    "tags in other case": _xml(lambda text: text.replace("bndbox", "BndBox").replace("object", "Object")),
    "namespace": _xml(lambda text: text.replace("<annotation>", '<annotation xmlns="http://x.org/a">')),
    "parts of objects": _xml(_part),
    "floats": _xml(lambda text: text.replace("</xmin>", ".0</xmin>").replace("</width>", ".0</width>")),
    "blanks": _xml(lambda text: f"\n  <?xml version='1.0'?>\n{text}".replace(">cat<", "> cat\n<")),
    "size unknown": _xml(lambda text: text.replace(f"<width>{WIDTH}<", "<width>nan<")),
    "byte order mark": _xml(lambda text: text.encode("utf-8-sig")),
    "utf-16": _xml(lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16")),
    "utf-16 without mark": _xml(lambda text: text.encode("utf-16-le")),
    "utf-16 only declared": _xml(lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'),
}


@pytest.mark.parametrize("case", READ)
def test_other_names_and_forms_are_read(tmp_path: Path, case: str) -> None:
    dataset = READ[case](tmp_path / "raw")
    samples = samples_of(dataset)
    assert len(samples) == COUNT
    require_objects(samples)


def test_masks_beside_the_images_are_no_images(tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "raw")
    (tmp_path / "raw/SegmentationClass").mkdir()
    (tmp_path / "raw/SegmentationClass/001.png").write_bytes(picture(3))
    require_objects(samples_of(dataset))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("gb2312", "猫"),
        ("GBK", "貓"),
        ("big5", "貓"),
        ("Shift_JIS", "ねこ"),
        ("iso-8859-1", "Kätzchen"),
        ("cp1251", "кот"),
    ],
)
def test_encodings_that_are_declared_are_read(tmp_path: Path, encoding: str, name: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{xml_of(1)}'.replace("dog", name)
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    file = read_xml(tmp_path, "a.xml")
    assert ([kind for kind, _ in file.objects], file.problem) == ([name], None)
    assert file.size == (height_of(1), WIDTH)


def _declared(encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>{xml_of(1)}'.replace("dog", "貓貓")


LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><annotation><object><name>&b;</name></object></annotation>'
)
FILE = (
    '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><object><name>&a;</name></object></annotation>'
)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_declared("iso-8859-1").encode(), "UTF-8 text, though it declares iso-8859-1"),
        (_declared("gb2312").encode(), "UTF-8 text, though it declares gb2312"),
        (_declared("utf-8").replace("貓", "狗").encode("gbk"), "not UTF-8 text (byte"),
        (xml_of(1).replace("dog", "狗").encode("gbk"), "not UTF-8 text (byte"),
        (_declared("klingon").encode(), "declares the encoding 'klingon', which is unknown"),
        (_declared("base64").encode(), "declares the encoding 'base64', which is unknown"),
        (LAUGHS.encode(), "declares entities, which are not supported; export it without them"),
        (FILE.encode("utf-16"), "declares entities, which are not supported; export it without them"),
        (b"", "not XML: no element found"),
        (
            b"<annotations><image/></annotations>",
            "its first element is annotations, expected annotation, as in Pascal VOC",
        ),
        (b"<annotation>&x;</annotation>", "not XML: undefined entity"),
    ],
)
def test_xml_that_cannot_be_read_leaves_out_its_image(tmp_path: Path, out: Path, data: bytes, told: str) -> None:
    dataset = write_voc(tmp_path / "raw")
    (tmp_path / "raw/Annotations/001.xml").write_bytes(data)
    card = prepare("tiny", dataset, out)
    (found,) = card.findings["broken_file"]["first"]
    assert found["source"] == "JPEGImages/001.png"
    assert found["reason"].startswith(f"Annotations/001.xml: {told.partition(' (byte')[0]}")
    assert card.quarantined == 1


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ("<polygon><x1>1</x1><y1>2</y1></polygon>", "has a polygon, but no bndbox"),
        ("<robndbox><cx>1</cx></robndbox>", "has a robndbox, but no bndbox"),
        ("", "has no bndbox"),
        ("<bndbox><xmin>1</xmin><ymin>a</ymin><xmax>5</xmax></bndbox>", "bndbox: ymin, ymax is not a number"),
    ],
)
def test_an_image_whose_objects_all_fall_away_is_no_background(
    tmp_path: Path, out: Path, shape: str, told: str
) -> None:
    dataset = write_voc(tmp_path / "raw")
    text = f"<annotation><object><name>cat</name>{shape}</object></annotation>"
    (tmp_path / "raw/Annotations/001.xml").write_text(text)
    card = prepare("tiny", dataset, out)
    assert card.findings["broken_line"]["first"] == [
        {"source": "JPEGImages/001.png", "reason": f"Annotations/001.xml: object 1: {told}"}
    ]
    assert card.quarantined == 1


@pytest.mark.parametrize(("text", "wanted"), [("1", True), ("true", True), ("Yes", True), ("0", False), ("no", False)])
def test_difficult_is_read_as_text(tmp_path: Path, text: str, wanted: bool) -> None:
    (tmp_path / "a.xml").write_text(xml_of(1).replace("<difficult>1<", f"<difficult> {text}\n<"))
    ((_, annotation),) = read_xml(tmp_path, "a.xml").objects
    assert annotation.difficult is wanted


def test_images_that_share_a_file_are_left_out_unless_a_list_tells(tmp_path: Path, out: Path) -> None:
    dataset = write_voc(tmp_path / "raw")
    (tmp_path / "raw/JPEGImages/001.jpeg").write_bytes(picture(77))
    card = prepare("tiny", dataset, out)
    assert card.findings["shared_file"]["first"] == [
        {"source": "JPEGImages/001.jpeg", "reason": "Annotations/001.xml also belongs to JPEGImages/001.png"},
        {"source": "JPEGImages/001.png", "reason": "Annotations/001.xml also belongs to JPEGImages/001.jpeg"},
    ]
    (tmp_path / "raw/train.txt").write_text(lines(range(COUNT), "{}.png"))
    require_objects(samples_of(dataset))
    assert findings_of(dataset, "shared_file") == []


def test_names_that_differ_in_case_are_told(tmp_path: Path) -> None:
    dataset = _xml(lambda text: text.replace(">dog<", "> Cat <"))(tmp_path / "raw")
    assert open_source(dataset).labels.classes == ("Cat", "cat")
    told = "differs from cat only in upper and lower case"
    assert findings_of(dataset, "similar_names") == [("class Cat", told)]


def test_xml_files_that_no_image_uses_stop(tmp_path: Path, out: Path) -> None:
    dataset = _moved({"Annotations": "Labels_of"})(tmp_path / "raw")
    with pytest.raises(UserError, match="raw: no labelled objects"):
        prepare("tiny", dataset, out)
