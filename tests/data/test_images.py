"""What is read and what is not: the check decodes as training does, and says of the rest what it is."""

from __future__ import annotations

import struct
import subprocess
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_folders import config, pixels, write_folder

from sightline.data.image_formats import format_of, require_whole
from sightline.data.images import decode, read
from sightline.data.orientation import orientation
from sightline.data.raw.findings import KINDS
from sightline.data.raw.preparation import prepare

RAMP = (np.arange(24 * 32) % 256).astype(np.uint8).reshape(24, 32)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def saved(image: Any, kind: str, **values: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, kind, **values)
    return file.getvalue()


def tiff(values: Any, layout: int = 1, photometric: int = 1, bits: int | None = None) -> bytes:
    """Return an uncompressed little-endian TIFF of H x W values, `layout` being 1 unsigned, 2 signed or 3 float."""
    content, (height, width) = values.tobytes(), values.shape
    tags = [
        (256, width),
        (257, height),
        (258, bits or values.itemsize * 8),
        (259, 1),
        (262, photometric),
        (273, 8 + 2 + 10 * 12 + 4),
        (277, 1),
        (278, height),
        (279, len(content)),
        (339, layout),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + content


def found_in(tmp_path: Path, files: dict[str, bytes]) -> dict[str, Any]:
    """Prepare two classes of plain images with these files in the first, and return the findings."""
    root = write_folder(tmp_path / "raw")
    for name, content in files.items():
        (root / "class0" / name).write_bytes(content)
    card = prepare("tiny", config(format="image_folder", root=str(root)), tmp_path / "out")
    return card.findings


NOT_READ = {
    "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n", "undecodable", "PostScript"),
    "heic.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "undecodable", "HEIC"),
    "film.jpg": (b"\0\0\0\x18ftypisom\0\0\0\0mp41isom" + bytes(40), "undecodable", "film"),
    "map.pgm": (b"Pf\n4 4\n-1.0\n" + bytes(64), "undecodable", "PFM"),
    "light.png": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n" + bytes(16), "undecodable", "Radiance"),
    "exr.tif": (b"\x76\x2f\x31\x01" + bytes(60), "undecodable", "OpenEXR"),
    "xl.jpg": (b"\xff\x0a" + bytes(60), "undecodable", "JPEG XL"),
    "float.tif": (tiff((RAMP / 255).astype("<f4"), 3), "undecodable", "TIFF of 32-bit floats"),
    "signed.tif": (tiff(RAMP.astype("<i2"), 2), "undecodable", "TIFF"),
    "long.tif": (tiff(RAMP.astype("<u4")), "undecodable", "TIFF"),
    "nine.tif": (tiff(np.zeros((24, 36), np.uint8), bits=9), "undecodable", "TIFF"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "unreadable", "HTML"),
    "lfs.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "unreadable", "git lfs pull"),
    "noise.png": (bytes(range(100, 200)), "unreadable", "begins with 64656667"),
}


def test_what_is_not_read_is_named_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise AssertionError("a program was started")

    for name in ("Popen", "run", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, start)  # Pillow runs Ghostscript for PostScript
    findings = found_in(tmp_path, {name: content for name, (content, _, _) in NOT_READ.items()})
    told = {
        (one["source"].rpartition("/")[2], code): one["reason"]
        for code in KINDS
        for one in findings.get(code, {}).get("first", [])
    }
    for name, (_, code, words) in NOT_READ.items():
        assert words in told[name, code], (name, told[name, code])
    assert KINDS["undecodable"].remedy == "convert it to PNG or JPEG"


READ = {
    "jpg": saved(COLOURS, "JPEG"),
    "png": saved(COLOURS, "PNG"),
    "webp": saved(COLOURS, "WEBP"),
    "avif": saved(COLOURS, "AVIF"),
    "bmp": saved(COLOURS, "BMP"),
    "tif": saved(COLOURS, "TIFF"),
    "gif": saved(COLOURS, "GIF"),
    "jp2": saved(COLOURS, "JPEG2000"),
    "ppm": saved(COLOURS, "PPM"),
    "grey.png": saved(RAMP, "PNG"),
    "deep.png": saved(RAMP.astype(np.uint16) * 16, "PNG"),
    "deep.tif": tiff(RAMP.astype("<u2") * 16),
}


@pytest.mark.parametrize("name", READ)
def test_damaged_images_are_decoded_or_refused_and_nothing_else(name: str) -> None:
    plain = READ[name]

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(
        st.integers(1, len(plain)), st.lists(st.tuples(st.integers(0, len(plain) - 1), st.integers(0, 255)), max_size=6)
    )
    def check(end: int, changes: list[tuple[int, int]]) -> None:
        damaged = bytearray(plain)
        for place, value in changes:
            damaged[place] = value
        for encoded in (bytes(damaged), bytes(damaged[:end])):
            for channels in (1, 3):
                try:
                    image = decode(encoded, channels)
                except ValueError:
                    continue
                assert image.dtype == np.uint8
                assert image.shape[2] == channels
                assert orientation(encoded) in range(1, 9)

    check()


def test_suffixes_of_all_formats_are_read_whatever_their_case(tmp_path: Path) -> None:
    names = ["a.jfif", "b.JPE", "c.JPG", "d.Avif", "e.TIFF", "f.JP2", "g.PNM"]
    kinds = ["JPEG", "JPEG", "JPEG", "AVIF", "TIFF", "JPEG2000", "PPM"]
    files = {
        name: saved(pixels(100 + place, 16), kind) for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }
    findings = found_in(tmp_path, files | {"h.png": saved(pixels(200, 16), "AVIF")})
    assert "ignored" not in findings
    assert [one["reason"] for one in findings["wrong_suffix"]["first"]] == ["has the suffix .png, but is AVIF"]


def gamma(chunk: bytes, data: bytes) -> bytes:
    plain = saved(COLOURS, "PNG")
    made = struct.pack(">I", len(data)) + chunk + data + struct.pack(">I", zlib.crc32(chunk + data))
    return plain[:33] + made + plain[33:]


CHUNKS = {
    "gAMA": struct.pack(">I", 100000),
    "sRGB": b"\0",
    "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    "iCCP": b"own\0\0" + zlib.compress(bytes(128)),
}


@pytest.mark.parametrize("chunk", CHUNKS)
def test_grey_is_the_grey_of_the_colours_whatever_gamma_a_png_tells(chunk: str) -> None:
    encoded = gamma(chunk.encode(), CHUNKS[chunk])
    assert np.array_equal(decode(encoded, 3), COLOURS)
    assert np.array_equal(decode(encoded, 1)[..., 0], cv2.cvtColor(COLOURS, cv2.COLOR_RGB2GRAY))


RANGES = {
    "png, 12 bits": (saved(RAMP.astype(np.uint16) * 16, "PNG"), 4095),
    "png, 16 bits": (saved(RAMP.astype(np.uint16) * 257, "PNG"), 65535),
    "png, 8 bits in 16": (saved(RAMP.astype(np.uint16), "PNG"), 255),
    "tiff, 12 bits": (tiff(RAMP.astype("<u2") * 16), 4095),
    "tiff, 16 bits, 0 is white": (tiff((255 - RAMP).astype("<u2") * 257, photometric=0), 65535),
    "pgm, 10 bits": (b"P5\n32 24\n1023\n" + (RAMP.astype(np.uint32) * 1023 // 255).astype(">u2").tobytes(), 1023),
    "pgm, 100": (b"P5 32 24 # told\n100\n" + (RAMP.astype(np.uint16) * 100 // 255).astype(np.uint8).tobytes(), 255),
    "jp2, 12 bits": (saved(RAMP.astype(np.uint16) * 16, "JPEG2000"), 4095),
}


@pytest.mark.parametrize("what", RANGES)
def test_values_are_scaled_by_the_range_that_a_file_uses(what: str) -> None:
    encoded, white = RANGES[what]
    for channels in (1, 3):
        seen = read(encoded, channels)
        assert seen.white == white
        assert np.abs(seen.pixels[..., 0].astype(int) - RAMP).max() <= 3  # of 100 levels


def test_sixteen_bit_colours_have_the_same_range_in_grey() -> None:
    for suffix in (".png", ".tif", ".ppm"):
        wide = COLOURS.astype(np.uint16) * np.array([1, 1, 200], np.uint16)  # blue alone is above 12 bits
        encoded = cv2.imencode(suffix, wide[..., ::-1])[1].tobytes()
        colour, grey = read(encoded, 3), read(encoded, 1)
        assert (colour.white, grey.white) == (65535, 65535)
        assert np.array_equal(colour.pixels, (wide >> 8).astype(np.uint8))
        assert np.array_equal(grey.pixels[..., 0], cv2.cvtColor(colour.pixels, cv2.COLOR_RGB2GRAY))


def test_ranges_pages_and_transparency_are_told(tmp_path: Path) -> None:
    first, second = (Image.fromarray(pixels(number, 16)) for number in (300, 301))
    files = {}
    for kind, name in (("TIFF", "p.tif"), ("GIF", "p.gif"), ("WEBP", "p.webp"), ("PNG", "p.png")):
        file = BytesIO()
        first.save(file, kind, save_all=True, append_images=[second])
        files[name] = file.getvalue()
    clear = np.dstack([pixels(302, 16), np.full((16, 16), 255, np.uint8)])
    files["opaque.png"] = saved(clear, "PNG")
    clear[0, 0, 3] = 0
    files["clear.png"] = saved(clear, "PNG")
    files["d12.png"] = saved(RAMP.astype(np.uint16) * 16, "PNG")
    files["d16.png"] = saved(RAMP.T.astype(np.uint16) * 257, "PNG")
    findings = found_in(tmp_path, files)
    assert {one["source"] for one in findings["later_pages"]["first"]} == {
        f"class0/p.{end}" for end in ("tif", "gif", "webp", "png")
    }
    assert [one["source"] for one in findings["transparent"]["first"]] == ["class0/clear.png"]
    assert "largest value 4080; 4095 is taken as white" in findings["deep"]["first"][0]["reason"]
    assert findings["deep"]["count"] == 2
    assert "0 to 4095 in 1 (as class0/d12.png), 0 to 65535 in 1" in findings["other_ranges"]["first"][0]["reason"]


def test_a_cut_image_is_not_whole() -> None:
    for name in ("jpg", "png", "webp", "tif"):
        require_whole(READ[name])
        with pytest.raises(ValueError, match=r"cannot be read to its end|damaged header"):
            require_whole(READ[name][: len(READ[name]) // 2])
    require_whole(READ["jpg"] + b"garbage")
    with pytest.raises(ValueError, match="not an image"):
        format_of(b"")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"hello", r'^not an image: it is text, beginning "hello"$'),
        ("\tZählung\n1, 2, 3 and so on".encode(), r'beginning "Zählung 1, 2, 3 and "$'),
        (b"x" * 255 + "é".encode(), 'beginning "xxxx'),  # a character that the end cuts
        (b"hel\0lo", r"\(begins with 68656c00\)"),
        (b"hell\xff", r"\(begins with 68656c6c\)"),
    ],
)
def test_a_text_that_is_called_an_image_is_quoted(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        format_of(content)
