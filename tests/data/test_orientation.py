"""Every container's orientation: what is decoded, the size for annotations, and what the report tells are the same."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from raw_folders import config, write_folder

from sightline.data.encoding import read_index_png, upright_size
from sightline.data.images import decode
from sightline.data.orientation import orientation, upright
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def picture() -> UINT8:
    """32 x 48 of flat regions, none of whose eight turns equals another."""
    image = np.full((32, 48, 3), 60, np.uint8)
    image[:16, :16], image[16:, 32:] = (240, 20, 20), (20, 240, 20)
    return image


def turned(image: NDArray[Any], number: int) -> NDArray[Any]:
    """Return what a viewer shows of an image stored with this orientation (EXIF 2.32, table 6), written out."""
    return {
        1: image,
        2: np.fliplr(image),
        3: np.rot90(image, 2),
        4: np.flipud(image),
        5: np.fliplr(np.rot90(image, -1)),
        6: np.rot90(image, -1),
        7: np.fliplr(np.rot90(image)),
        8: np.rot90(image),
    }[number]


def exif(number: int, kind: int = 3) -> bytes:
    """Return an EXIF block with the orientation alone, in big-endian order."""
    value = struct.pack(">HH", number, 0) if kind == 3 else struct.pack(">I", number)
    return b"MM\0*" + struct.pack(">IHHHI", 8, 1, 274, kind, 1) + value + bytes(4)


def saved(kind: str, **values: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(picture()).save(file, kind, **values)
    return file.getvalue()


def png_with(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    plain = saved("PNG")
    place = len(plain) - 12 if behind else 33
    made = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return plain[:place] + made + plain[place:]


def jpeg_with(*segments: bytes) -> bytes:
    plain = saved("JPEG", quality=95, subsampling=0)
    made = b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments)
    return plain[:2] + made + plain[2:]


def webp_with(content: bytes) -> bytes:
    """Return a WebP whose EXIF chunk has this content, with or without `Exif\\0\\0` before the block."""
    encoded = saved("WEBP", lossless=True, exif=b"Exif\0\0" + exif(1))
    place = encoded.index(b"EXIF")
    chunk = b"EXIF" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    riff = encoded[12:place] + chunk
    return b"RIFF" + struct.pack("<I", len(riff) + 4) + b"WEBP" + riff


def profile(number: int) -> bytes:
    text = (b"Exif\0\0" + exif(number)).hex().encode()
    return b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      32\n" + text + b"\n")


STORED = {
    "jpeg": lambda number: jpeg_with(b"Exif\0\0" + exif(number)),
    "jpeg, long": lambda number: jpeg_with(b"Exif\0\0" + exif(number, 4)),
    "jpeg, xmp": lambda number: jpeg_with(b"http://ns.adobe.com/xap/1.0/\0" + XMP % number),
    "png": lambda number: png_with((b"eXIf", exif(number))),
    "png, behind the pixels": lambda number: png_with((b"eXIf", exif(number)), behind=True),
    "png, profile": lambda number: png_with((b"zTXt", profile(number))),
    "png, xmp": lambda number: png_with((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % number)),
    "webp": lambda number: webp_with(exif(number)),
    "webp, prefix": lambda number: webp_with(b"Exif\0\0" + exif(number)),
    "tiff": lambda number: saved("TIFF", tiffinfo={274: number}),
    "tiff, lzw": lambda number: saved("TIFF", tiffinfo={274: number}, compression="tiff_lzw"),
    "avif": lambda number: saved("AVIF", quality=100, exif=b"Exif\0\0" + exif(number)),
}


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("container", STORED)
def test_every_container_is_decoded_upright(container: str, number: int) -> None:
    encoded = STORED[container](number)
    wanted = turned(picture(), number)
    assert orientation(encoded) == number
    assert upright_size(encoded) == wanted.shape[:2]
    signed = memoryview(np.frombuffer(encoded, np.int8))  # as Arrow's buffers are
    for bytes_of in (encoded, memoryview(encoded), signed):
        seen = decode(bytes_of, 3)
        assert seen.shape == wanted.shape
        assert np.abs(seen.astype(int) - wanted).mean() < 4  # lossy; a wrong turn is 30 away
    grey = decode(encoded, 1)[..., 0]
    assert np.abs(grey.astype(int) - cv2.cvtColor(np.ascontiguousarray(wanted), cv2.COLOR_RGB2GRAY)).mean() < 4


@pytest.mark.parametrize("number", range(1, 9))
def test_upright_is_what_viewers_show(number: int) -> None:
    assert np.array_equal(upright(picture(), number), turned(picture(), number))
    assert np.array_equal(upright(picture()[..., 0], number), turned(picture()[..., 0], number))


NO_ORIENTATION = {
    "none": jpeg_with(),
    "0": jpeg_with(b"Exif\0\0" + exif(0)),
    "9": jpeg_with(b"Exif\0\0" + exif(9)),
    "text": jpeg_with(b"Exif\0\0" + b"MM\0*" + struct.pack(">IHHHI", 8, 1, 274, 2, 2) + b"6\0\0\0" + bytes(4)),
    "offset beyond": jpeg_with(b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "no block": jpeg_with(b"Exif\0\0"),
    "noise": jpeg_with(b"Exif\0\0" + bytes(range(200))),
    "png profile, no hex": png_with((b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\nno hex\n"))),
    "png profile, not packed": png_with((b"zTXt", b"Raw profile type exif\0\0 no zlib")),
    "xmp 12": png_with((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % 12)),
    "tiff 9": saved("TIFF", tiffinfo={274: 9}),
}


@pytest.mark.parametrize("what", NO_ORIENTATION)
def test_a_broken_orientation_leaves_the_image_as_it_is_stored(what: str) -> None:
    assert orientation(NO_ORIENTATION[what]) == 1
    assert np.abs(decode(NO_ORIENTATION[what], 3).astype(int) - picture()).mean() < 4


def test_exif_goes_before_xmp() -> None:
    both = jpeg_with(b"http://ns.adobe.com/xap/1.0/\0" + XMP % 3, b"Exif\0\0" + exif(6))
    assert orientation(both) == 6


@pytest.mark.parametrize("number", [1, 3, 6, 7])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_mask_is_turned_as_its_own_file_says(kind: str, number: int) -> None:
    values = np.arange(32 * 48, dtype=np.uint8).reshape(32, 48)
    file = BytesIO()
    own = {"tiffinfo": {274: number}} if kind == "TIFF" else {"exif": b"Exif\0\0" + exif(number)}
    Image.fromarray(values).save(file, kind, **own)
    assert np.array_equal(read_index_png(file.getvalue()), turned(values, number))


def test_boxes_lie_on_the_upright_image(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "images").mkdir(parents=True)
    (raw / "labels").mkdir()
    (raw / "data.yaml").write_text("names: [red]\n")
    for place, container in enumerate(STORED):  # stored: the red part lies at the left top; upright, at the right top
        (raw / f"images/{place:02}.{container[:4].rstrip(',')}").write_bytes(STORED[container](6))
        (raw / f"labels/{place:02}.txt").write_text("0 0.75 0.16667 0.5 0.33333\n")
    split = {"train": 0.5, "val": 0.25, "test": 0.25, "by": "order"}
    card = prepare("tiny", config(format="yolo", root=str(raw), split=split), tmp_path / "out")
    assert card.findings["rotated"]["count"] == len(STORED)
    for part in ("train", "val", "test"):
        store = SplitStore(tmp_path / "out" / part)
        for index in range(len(store)):
            sample = store.sample(index)
            left, top, right, bottom = np.asarray(sample.boxes)[0].round().astype(int)
            inside = decode(store.image(index), 3)[top:bottom, left:right]
            assert inside.shape == (16, 16, 3)
            assert np.abs(inside.astype(int) - (240, 20, 20)).mean() < 8, sample.source


def test_images_that_are_not_turned_are_told_of_nothing(tmp_path: Path) -> None:
    card = prepare("tiny", config(format="image_folder", root=str(write_folder(tmp_path / "raw"))), tmp_path / "out")
    assert not {"rotated", "deep", "transparent", "later_pages", "other_ranges"} & set(card.findings)
