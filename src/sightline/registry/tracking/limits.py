"""MLflow's limits: names and values in, what it takes out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

TAG_LENGTH = 5000
_PARAM_LENGTH = 250  # Lightning's logger cuts there; MLflow itself at 6000
_KEY_LENGTH = 250


def short_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Bring params, nested ones under dotted names, within the limits; training.json in reports/ has them whole."""
    texts = {short_key(name): str(value) for name, value in _flat(params)}
    limit = _PARAM_LENGTH
    return {key: text if len(text) <= limit else text[: limit - 6] + " [cut]" for key, text in texts.items()}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def short_key(name: str) -> str:
    """Bring a name within MLflow's characters and length; a long one keeps its start and gets its hash."""
    key = re.sub(r"[^\w. :/-]", "_", name, flags=re.ASCII)
    if len(key) <= _KEY_LENGTH:
        return key
    return f"{key[: _KEY_LENGTH - 17]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"
