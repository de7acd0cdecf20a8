"""Plain values as JSON, many times as fast as Python's own: a thousand probabilities are half a millisecond there."""

from __future__ import annotations

import json
from typing import Any

import orjson


def json_bytes(values: dict[str, Any]) -> bytes:
    """Return compact JSON in UTF-8.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    try:
        text = orjson.dumps(values)
    except TypeError:  # whole numbers of more than 64 bits, lone surrogates, keys that are numbers
        return json.dumps(values, allow_nan=False, separators=(",", ":")).encode()
    if b"null" in text:  # what it makes of a number that is not finite, too
        json.dumps(values, allow_nan=False)
    return text


def json_line(values: dict[str, Any]) -> str:
    """Return JSON in ASCII, which every terminal and pipe takes, without an end of line.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    text = json_bytes(values)
    return text.decode() if text.isascii() else json.dumps(values, allow_nan=False, separators=(",", ":"))
