"""Who may ask a server that has a token: whoever sends it, as `Authorization: Bearer TOKEN` (RFC 6750)."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Collection
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sightline.system.disk import told_as
from sightline.system.errors import UserError
from sightline.system.json_text import json_bytes

_SHORTEST = 16  # characters
_ALLOWED = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what RFC 6750 lets a token be made of


def read_token(path: Path) -> str:
    """Return the token in a file; a file that is missing is made, for its owner alone, with 256 random bits.

    Raises:
        UserError: the token is too short or has other characters, others can read the file, or it cannot be made.
    """
    with told_as(path):
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # nobody reads it before its mode is set
            with os.fdopen(made, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise UserError(f"{path}: no such folder {path.parent}; make it first") from None
        if path.is_dir():
            raise UserError(f"{path}: is a folder; name a file with the token")
        token = path.read_bytes().decode("ascii", "replace").strip()
        if path.stat().st_mode & 0o077 and os.name == "posix":
            raise UserError(f"{path}: others on this machine can read it; chmod 600 {path}")
    if not _ALLOWED.fullmatch(token):  # the token itself is in no message
        raise UserError(f"{path}: a token has letters, digits and . _ ~ + / - only; delete the file to have one made")
    if len(token) < _SHORTEST:
        raise UserError(f"{path}: a token has {_SHORTEST} characters at least; delete the file to have one made")
    return token


class Guard:
    """ASGI middleware that answers 401 to requests without the token; it reads no body of theirs.

    Tokens are compared by their hashes and in constant time, so that the time of an answer says nothing of them.

    Args:
        app: what is guarded.
        token: that requests carry.
        free: paths that need none.
    """

    def __init__(self, app: ASGIApp, token: str, free: Collection[str]) -> None:
        self._app, self._free = app, frozenset(free)
        self._digest = hashlib.sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in self._free or self._allows(scope):
            await self._app(scope, receive, send)
            return
        line = "needs the token that the server was started with: send it as header `Authorization: Bearer TOKEN`"
        headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}  # its body, if any, is not read
        await Response(json_bytes({"error": line}), 401, headers, "application/json")(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(sent) != 1:
            return False
        kind, _, token = sent[0].partition(b" ")
        given = hashlib.sha256(token.strip()).digest()
        return kind.lower() == b"bearer" and hmac.compare_digest(given, self._digest)
