"""Why a stage would run again: what of its code, settings and files is not as it was when it ran last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sightline.pipeline.refreshing import refresh
from sightline.pipeline.stamps import STAMPS, archived_stamp
from sightline.pipeline.store import DvcStore, last_inputs
from sightline.system.errors import UserError
from sightline.system.files import read_json

_MOST = 8  # changed pieces of code that are named


def stale_reasons(root: Path, stage: str) -> list[str]:
    """Return what makes `dvc repro` run a stage again, a line for each; [] when it is up to date.

    Args:
        root: of the project.
        stage: as DVC names it, such as train@digit-cnn.

    Raises:
        UserError: there is no such stage, or no DVC repository.
    """
    refresh(root)
    store = DvcStore(root)
    known = store.stage_needs()
    if stage not in known:
        group = [name for name in known if name.split("@")[0] == stage]
        raise UserError(f"{stage}: no such stage; there are {', '.join(group or known)}")
    lines = [line for change in store.changes(stage) for line in _lines(root, stage, *change)]
    if any(line.startswith("setting ") for line in lines):  # it says more than the section's name
        lines = [line for line in lines if not line.startswith(_KINDS["changed params"])]
    above = sorted(other for other in known[stage] if store.changes(other) and other.split("@")[0] != "code")
    return [*lines, *(f"{other} will run before it" for other in above)]


def _lines(root: Path, stage: str, change: str, path: str, state: str) -> Iterator[str]:
    if change == "always changed":
        yield "it runs every time"
    elif not path.startswith(f"{STAMPS.as_posix()}/"):
        yield f"{_KINDS.get(change, change)} {path}: {state}"
    elif state == "new" or (old := archived_stamp(root, (last_inputs(root, stage) or {}).get(path, ""))) is None:
        yield "code or settings: it never ran here, so the changes are not known"
    else:
        yield from compare(old, read_json(root / path))


_KINDS = {"changed deps": "file", "changed outs": "output", "changed params": "section"}


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between two stamps of a stage, a line for each setting and piece of code."""
    before, after = (dict(_flat("", stamp["values"])) for stamp in (old, new))
    lines = [
        f"setting {name}: {before.get(name, 'not set')} -> {after.get(name, 'not there')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    codes = (old["code"], new["code"])
    changed = {key for key in codes[0].keys() | codes[1].keys() if codes[0].get(key) != codes[1].get(key)}
    pieces = sorted({key.split(":")[0] for key in changed})
    lines += [f"code {piece.rstrip('.')}" for piece in pieces[:_MOST]]
    return lines + ([f"code: {len(pieces) - _MOST} more pieces"] if len(pieces) > _MOST else [])


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _flat(f"{name}.{key}" if name else str(key), inner)
        case list():
            for number, inner in enumerate(value):
                yield from _flat(f"{name}[{number}]" if name else "", inner)
        case _:
            yield name or "seed", value
