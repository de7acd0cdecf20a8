"""Writes what a search has chosen into params.yaml, with the reason as a comment; every other byte stays."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode

from sightline.config import load_params
from sightline.labs.choose.outcome import Outcome
from sightline.labs.choose.settings import Settings
from sightline.labs.tuning.write import changed_text
from sightline.operations.pages.words import interval, number
from sightline.system.errors import UserError
from sightline.system.files import new_file

_MARK = "sightline choose:"
_OLD = re.compile(rf"[ \t]*# {_MARK}")


def write_choice(path: Path, outcome: Outcome, began: str) -> None:
    """Write the winner's settings into a params file.

    Args:
        path: the file.
        outcome: with a winner.
        began: text of the file when the search began.

    Raises:
        UserError: the model was edited since, another one shares what is to be changed, or the result would not be
            valid; nothing is written.
    """
    file = path.resolve()  # a link stays one
    text = file.read_bytes().decode("utf-8")
    if Settings(text, outcome.model).written != Settings(began, outcome.model).written:
        raise UserError(
            f"{path}: models.{outcome.model}: was edited while the search ran, and is left as it is; what was found is "
            f"in reports/choose/{outcome.model}.html"
        )
    text = changed_text(text, outcome.model, outcome.changes, str(path))
    with new_file(file) as work:
        work.write_bytes(with_reason(text, outcome.model, reason(outcome)).encode("utf-8"))
        shutil.copymode(file, work)
        load_params(work)


def reason(outcome: Outcome) -> str:
    """Return why these settings were chosen, on one line."""
    own = outcome.reported
    assert own is not None
    assert outcome.winner is not None
    finished = sum(record.state == "finished" for record in outcome.records)
    return (
        f"{_MARK} {outcome.winner.candidate.words()}, best of {finished} in {outcome.spent / 60:.0f} min; "
        f"{outcome.metric} {number(own.value)} ({interval(own.low, own.high)}) on {own.samples} validation images "
        f"that did not choose it; reports/choose/{outcome.model}.html"
    )


def with_reason(text: str, model: str, why: str) -> str:
    """Return the text of a params file with a comment above a model's key, in place of an earlier one of ours.

    Args:
        text: of the file.
        model: a name among its models.
        why: the comment.
    """
    document = YAML(typ="safe", pure=True).compose(text)
    assert isinstance(document, MappingNode)
    models = next(value for key, value in document.value if key.value == "models")
    key = next(own for own, _ in models.value if own.value == model)
    newline = "\r\n" if "\r\n" in text else "\n"
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[start : key.start_mark.index].strip():
        return text  # models: {...} on one line has no place for it
    before = text[:start]
    last = before.rstrip("\r\n").rpartition("\n")[2]
    if _OLD.match(last):
        before = before[: len(before.rstrip("\r\n")) - len(last)]
    return f"{before}{' ' * key.start_mark.column}# {why}{newline}{text[start:]}"
