"""`prepare` decodes each image once, in any number of threads, and no file that is cut off passes for a whole one."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile
from raw_folders import config, contents

from sightline.data import images, jpeg
from sightline.data.images import decode, fit, read
from sightline.data.raw import small_pictures
from sightline.data.raw.checks import inspect_all
from sightline.data.raw.formats import open_source
from sightline.data.raw.formats.source import Unreadable
from sightline.data.raw.image_checks import decoded_to_its_end
from sightline.data.raw.preparation import prepare
from sightline.data.raw.small_pictures import SIDE, SmallPictures
from sightline.data.structures import Sample
from sightline.system import in_order

_JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
}
_OTHERS = ("PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "PPM")


def picture(height: int, width: int, number: int = 0) -> Image.Image:
    rows, columns = np.mgrid[:height, :width] / 40
    waves = [np.sin(rows + number), np.cos(columns * 1.3 + number), np.sin(rows * columns / 5)]
    return Image.fromarray(((np.stack(waves, -1) + 1) * 127).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    image.convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number in range(24):
        path = tmp_path / "raw" / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(150 + number, 190 + 2 * number, number)))
    return tmp_path / "raw"


def test_each_image_is_decoded_once(photographs: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = config(format="image_folder", root=str(photographs))
    decoded: list[int] = []
    original = cv2.imdecode

    def counting(content: Any, flags: int) -> Any:
        decoded.append(len(content))
        return original(content, flags)

    def refused(*_: object) -> None:
        raise AssertionError("decoded by Pillow")

    monkeypatch.setattr(images.cv2, "imdecode", counting)
    monkeypatch.setattr(ImageFile.ImageFile, "load", refused)
    assert all(one.record is not None for one in inspect_all(open_source(dataset), 10**8))
    assert sorted(decoded) == sorted(path.stat().st_size for path in photographs.rglob("*.jpg"))
    monkeypatch.undo()
    monkeypatch.setattr(small_pictures, "read_for_small", refused)  # for the mean images none is decoded again
    assert (prepare("tiny", dataset, out), (out / "averages.png").is_file())[1]


def test_threads_and_kept_pictures_change_no_byte(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for threads, kept in ((1, 4096), (4, 4096), (2, 3)):
        monkeypatch.setattr(in_order, "usable_processors", lambda threads=threads: threads)
        monkeypatch.setattr(in_order, "_PIECE", 2)
        monkeypatch.setattr(SmallPictures.__init__, "__defaults__", (kept,))
        prepare("tiny", config(format="image_folder", root=str(photographs)), tmp_path / f"{threads}-{kept}")
        made.append(contents(tmp_path / f"{threads}-{kept}"))
    assert made[0] == made[1] == made[2]


def test_results_come_in_order_and_few_wait() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 90:
            raise ValueError("the ninetieth")
        return -number

    results = in_order.in_order(work, range(1000), piece=1)
    assert next(results) == 0
    with pytest.raises(ValueError, match="ninetieth"):
        assert list(results) == []
    assert len(begun) < 200


@pytest.mark.parametrize("kind", _JPEGS)
def test_a_cut_jpeg_is_found_as_by_pillow(kind: str) -> None:
    whole = encoded(picture(90, 110), **_JPEGS[kind])
    other = encoded(picture(40, 40))
    assert jpeg.is_whole(whole)
    assert jpeg.is_whole(whole + b"garbage \xff\xd8\xff\xda")
    for size in (20, len(whole) // 3, len(whole) // 2, len(whole) - 40, len(whole) - 1):
        for tail in (b"", bytes(300), b"garbage", other):
            content = whole[:size] + tail
            try:
                with Image.open(BytesIO(content), formats=["JPEG"]) as image:
                    image.load()
            except (OSError, SyntaxError):
                with pytest.raises((Unreadable, ValueError)):
                    decoded_to_its_end(Sample("x.jpg", content), 10**8)


@pytest.mark.parametrize("kind", _OTHERS)
def test_a_cut_image_of_another_format_is_found(kind: str) -> None:
    whole = encoded(picture(90, 110), kind)
    stored, read_back = decoded_to_its_end(Sample("x", whole), 10**8)
    assert (stored.format, read_back.height, read_back.width) == (kind, 90, 110)
    with pytest.raises((Unreadable, ValueError)):
        decoded_to_its_end(Sample("x", whole[: len(whole) // 2]), 10**8)


@pytest.mark.parametrize("size", [(256, 256), (301, 403), (643, 517), (70, 90)])
@pytest.mark.parametrize("turned", [1, 3, 6])
def test_fewer_pixels_show_the_same_picture(size: tuple[int, int], turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    content = encoded(picture(*size), quality=95, exif=exif)
    few, full = read(content, 3, SIDE), decode(content, 3)
    assert (few.height, few.width) == full.shape[:2]
    assert min(few.pixels.shape[:2]) >= min(SIDE, *size)
    assert few.pixels.shape[0] < full.shape[0] or min(size) < 2 * SIDE
    difference = np.abs(fit(few.pixels, SIDE, "stretch").astype(int) - fit(full, SIDE, "stretch"))
    assert difference.mean() < 2  # at an eighth, shifting by half a pixel blurs
    assert difference.max() < 25


def test_the_least_ids_are_kept() -> None:
    pictures = SmallPictures(3)
    for number in (9, 4, 7, 1, 8, 4):
        pictures.keep(f"{number:016x}", np.zeros((SIDE, SIDE, 3), np.uint8))
    assert sorted(pictures._pictures) == [1, 4, 7]
