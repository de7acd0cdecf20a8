"""The hash of what is true of a sample, by which a corrected annotation is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sightline.data.images import decode

_MAPS = frozenset({"semantic"})  # encoded, and the same regardless of the encoding


def truth_hashes(truth: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """Return for each row the sha256 of these fields, hexadecimal.

    The same truth has the same hash however it is stored: nothing known is an empty list, flags that are all unset are
    none, a map counts by its pixels, and the order of fields by their names. Images count by their bytes.

    Args:
        truth: columns of a prepared split.
        fields: all of them that a task compares with its predictions.
    """
    names = sorted(fields)
    return [_hash(dict(zip(names, values, strict=True))) for values in zip(*(truth[one] for one in names), strict=True)]


def _hash(values: dict[str, Any]) -> str:
    plain = {name: _plain(name, value) for name, value in values.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        if name not in _MAPS:
            return hashlib.sha256(value).hexdigest()
        pixels = decode(value, 1)
        return [list(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()]
    if isinstance(value, list) and not any(one is not False for one in value):
        return None  # empty, or flags of which none is set
    return value
