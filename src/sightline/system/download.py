"""Fetches files over http and https with the standard library: whole or not at all, and never past a limit of time."""

from __future__ import annotations

import base64
import hashlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sightline.system.errors import UserError, first_line
from sightline.system.files import new_file

_PATIENCE = 30.0  # seconds without an answer, or without a byte of one
_PIECE = 1 << 20  # bytes
_ABSENT = (404, 410)
_PAGE = (b"<!doctype", b"<html", b"<?xml")


def shown(address: str) -> str:
    """Return an address without name and password."""
    return urlunsplit(urlsplit(address)._replace(netloc=urlsplit(address).netloc.rpartition("@")[2]))


def download(address: str, path: Path, sha256: str | None = None) -> bool:
    """Write what an address holds to a file, in place of an earlier one; return false if there is nothing.

    Args:
        address: http or https, with or without `name:password@`.
        path: of the file.
        sha256: what it must have, in hexadecimal; None: not checked.

    Raises:
        UserError: no answer, an error, a page in place of a file, less than was announced, or another hash.
        DiskError: the disk is full, or not to be written to.
    """
    with _opened(address) as answer:
        if answer is None:
            return False
        with new_file(path) as work, work.open("wb") as file:
            length, found = _copied(address, answer, file)
            announced = answer.headers.get("Content-Length")
            if announced is not None and length != int(announced):
                raise UserError(f"{shown(address)}: broke off after {length} of {announced} bytes; try again")
            if sha256 is not None and found != sha256.lower():
                raise UserError(f"{shown(address)}: has the SHA-256 {found}, but SHA256SUMS says {sha256}")
    return True


def read_address(address: str, most: int) -> bytes | None:
    """Return what an address holds; None if there is nothing.

    Raises:
        UserError: no answer, an error, or more than `most` bytes.
    """
    with _opened(address) as answer:
        if answer is None:
            return None
        content: bytes = answer.read(most + 1)
    if len(content) > most:
        raise UserError(f"{shown(address)}: is larger than {most} bytes")
    return content


def _copied(address: str, answer: Any, file: IO[bytes]) -> tuple[int, str]:
    """Copy an answer to a file; return its length in bytes and its SHA-256."""
    length, sha256 = 0, hashlib.sha256()
    while piece := answer.read(_PIECE):
        if not length and piece[:9].lower().startswith(_PAGE):
            raise UserError(f"{shown(address)}: is a page, not a file; does the server want a login?")
        length += len(piece)
        sha256.update(piece)
        file.write(piece)
    return length, sha256.hexdigest()


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    """Yield the answer of an address, None if there is nothing; what goes wrong while it is read is an error too."""
    request = Request(shown(address))
    secret = urlsplit(address).netloc.rpartition("@")[0]
    if secret:  # not sent on to where the server redirects to
        token = base64.b64encode(unquote(secret).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        with build_opener(_Redirects).open(request, timeout=_PATIENCE) as answer:
            yield answer
    except HTTPError as error:
        error.close()
        if error.code not in _ABSENT:
            raise UserError(f"{shown(address)}: the server answers {error.code} ({first_line(error)})") from None
        yield None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise UserError(f"{shown(address)}: cannot be reached ({first_line(error)})") from None
    except OSError as error:
        if not hasattr(error, "reason"):  # of the disk, not of the network
            raise
        raise UserError(f"{shown(address)}: cannot be reached ({error.reason})") from None


class _Redirects(HTTPRedirectHandler):
    """Follows to http and https alone, and not from the second to the first."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        before, after = (urlsplit(address).scheme for address in (req.full_url, newurl))
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise UserError(f"{req.full_url}: redirects to {shown(newurl)}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
