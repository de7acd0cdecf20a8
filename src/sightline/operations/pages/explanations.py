"""Explanations on a page: `explanations.json` and its pictures in, each with the checks that it has passed or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.operations.pages.pictures import Picture, picture
from sightline.operations.pages.words import number
from sightline.system.errors import UserError
from sightline.system.files import read_json


@dataclass(frozen=True)
class Check:
    """One check of an explanation: what was measured, the same of a random explanation, and whether it passes."""

    name: str
    value: str
    of_random: str
    passes: bool
    told: str


@dataclass(frozen=True)
class Explanation:
    """One picture that explains predictions."""

    title: str
    caption: str
    source: str
    picture: Picture
    checks: list[Check]


def read_explanations(folder: Path) -> list[Explanation]:
    """Return what is explained in a folder; nothing where there is no `explanations.json`.

    Raises:
        UserError: the file does not say what it should.
    """
    path = folder / "explanations.json"
    if not path.is_file():
        return []
    try:
        return [_explanation(folder, one) for one in read_json(path)["pictures"]]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(f"{path}: damaged ({error}); delete the folder and run dvc repro") from None


def _explanation(folder: Path, one: Mapping[str, Any]) -> Explanation:
    checks = [_check(own) for own in one.get("checks", [])]
    failed = sum(not check.passes for check in checks)
    told = f"; {failed} of {len(checks)} checks failed" if failed else ""
    shown = picture(folder / Path(one["file"]).name, f"{one['title']}: {one['caption']}{told}")
    return Explanation(one["title"], one["caption"], one.get("source", ""), shown, checks)


def _check(own: Mapping[str, Any]) -> Check:
    name = str(own["name"]).replace("_", " ")
    value, of_random = number(own.get("value")), number(own.get("of_random"))
    return Check(name, value, of_random, bool(own["passes"]), own.get("told", ""))
