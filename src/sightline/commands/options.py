"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.system.errors import UserError

ParamsFile = Annotated[Path, typer.Argument(help="the params file")]
ModelName = Annotated[str, typer.Argument(help="a model of params.yaml")]


def pairs(option: str, words: list[str] | None, default: float | None = None) -> dict[str, float] | None:
    """NAME=WEIGHT, ... -> weights by name.

    Raises:
        UserError: a weight is missing or is not a number of 0 or more.
    """
    if words is None:
        return None
    found: dict[str, float] = {}
    for word in words:
        name, sign, text = word.rpartition("=")
        if not sign and default is not None:
            name, text = word, str(default)
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not name or not 0 <= weight < float("inf"):
            raise UserError(f"--{option}: {word}: must be NAME=WEIGHT, 0 or more, e.g. {name or 'NAME'}=0.5")
        found[name] = weight
    return found


def whole_numbers(option: str, text: str, most: int) -> list[int]:
    """1,8,32 -> the numbers, each once, in their order.

    Args:
        option: its name, for messages.
        text: of the option.
        most: the largest that is allowed.

    Raises:
        UserError: one of them is not a number from 1 on.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not word.isdecimal() or not 1 <= int(word) <= most:
            raise UserError(f"--{option}: {word!r}: must be a number from 1 to {most}, or several such as 1,8,32")
    return list(dict.fromkeys(int(word) for word in words))
