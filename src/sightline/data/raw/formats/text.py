"""Text files as annotation tools write them: UTF-8, or the Unicode encoding of a byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from sightline.system.errors import UserError

_MARKS = {  # that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


class BrokenText(Exception):  # noqa: N818 - it is the text that is broken
    """A file that is not text in the encoding that it should have; says why."""


def read_text(path: Path) -> str:
    """Return what a text file holds.

    Raises:
        BrokenText: it cannot be opened, or is not in the encoding of its byte order mark (UTF-8 where there is none).
    """
    data = read_bytes(path)
    return decoded(data, told_by_bytes(data) or "utf-8")


def require_text(path: Path) -> str:
    """Return what a text file holds that a whole data set depends on.

    Raises:
        UserError: it cannot be read as text.
    """
    try:
        return read_text(path)
    except BrokenText as error:
        raise UserError(f"{path}: {error}; save it as UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        BrokenText: it cannot be opened.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenText(f"cannot be opened: {error.strerror}") from None


def decoded(data: bytes, encoding: str) -> str:
    """Return the text of bytes.

    Raises:
        BrokenText: they are not in this encoding.
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BrokenText(f"not {encoding.removesuffix('-sig').upper()} text (byte {error.start})") from None
    except UnicodeError as error:
        raise BrokenText(f"not {encoding.upper()} text ({error})") from None


def told_by_bytes(data: bytes) -> str | None:
    """Return the encoding shown by a byte order mark or the zeros of UTF-16, None if there are none."""
    marked = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None)
    if marked or b"\0" not in data[:4]:
        return marked
    return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
