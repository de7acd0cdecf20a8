"""Entries of params.yaml with a reason for each value, and their way into the file."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from sightline.config import load_params
from sightline.config.text import end_of_block
from sightline.system.errors import UserError
from sightline.system.files import new_file

_PLAIN = re.compile(r"[A-Za-z_][\w.:/-]*")
_WIDTH = 100


@dataclass(frozen=True)
class Chosen:
    """A value and why it was chosen; an empty reason writes no comment."""

    value: Any
    why: str = ""


Entry = Mapping[str, Any]  # values are Chosen, plain, or entries again


def plain(entry: Entry) -> dict[str, Any]:
    """Return an entry without its reasons."""
    return {key: _bare(value) for key, value in entry.items()}


def _bare(value: Any) -> Any:
    match value:
        case Chosen():
            return _bare(value.value)
        case Mapping():
            return plain(value)
        case _:
            return value


def lines_of(entry: Entry, indent: int) -> list[str]:
    """Return an entry as lines of YAML, each reason as a comment behind its value or above its block."""
    found: list[str] = []
    space = " " * indent
    for key, value in entry.items():
        why = value.why if isinstance(value, Chosen) else ""
        inner = value.value if isinstance(value, Chosen) else value
        comment = f" # {why}" if why else ""
        if isinstance(inner, Mapping) and not _is_flat(inner):
            found += [f"{space}{_written(key)}:{comment}", *lines_of(inner, indent + 2)]
        else:
            found.append(f"{space}{_written(key)}: {_written(inner)}{comment}")
    return found


def _is_flat(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is written in braces: short, without reasons, and without `LIBRARY:NAME`, as DVC asks."""
    values = list(entry.values())
    if any(isinstance(value, (Chosen, Mapping)) or (isinstance(value, str) and ":" in value) for value in values):
        return False
    return len(_written(entry)) < _WIDTH


def _written(value: Any) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_written(key)}: {_written(own)}" for key, own in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_written, value)) + "]"
        case str() if (
            _PLAIN.fullmatch(value) and not value.endswith(":") and YAML(typ="safe", pure=True).load(value) == value
        ):
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def with_entries(text: str, sections: Mapping[str, Mapping[str, Entry]], file: str) -> str:
    """Return the text of a params file with new entries at the end of its sections; every other byte stays.

    Args:
        text: of the file.
        sections: entries by name, by the key of their section (`datasets`, `models`, ...).
        file: its name, for messages.

    Raises:
        UserError: an entry exists, or the file is written in a way that leaves no room for one.
    """
    wanted = dict(YAML(typ="safe", pure=True).load(text) or {})
    for section, entries in sections.items():
        old = dict(wanted.get(section) or {})
        for name, entry in entries.items():
            if name in old:
                more = (
                    f"; to add images, put them into data/inbox/{name} and run `sightline ingest`; to train its models "
                    "longer, raise their trainer.max_epochs"
                )
                raise UserError(
                    f"{file}: {section}.{name}: exists already; choose another name with --name"
                    f"{more if section == 'datasets' else ', or remove it'}"
                )
            old[name] = plain(entry)
        wanted[section] = old
        text = _with_section(text, section, entries, file)
    if YAML(typ="safe", pure=True).load(text) != wanted:
        raise UserError(f"{file}: has an unusual layout; add this by hand:\n{_pasted(sections)}")
    return text


def _with_section(text: str, section: str, entries: Mapping[str, Entry], file: str) -> str:
    document = YAML(typ="safe", pure=True).compose(text)
    pair = None
    if isinstance(document, MappingNode):
        pair = next((pair for pair in document.value if pair[0].value == section), None)
    newline = "\r\n" if "\r\n" in text else "\n"
    if pair is None:
        lines = ["", f"{section}:", *_lines(entries, 2)]
        return text + ("" if not text or text.endswith("\n") else newline) + newline.join(lines) + newline
    node = pair[1]
    if isinstance(node, ScalarNode):  # nothing, or null
        start, end = pair[0].end_mark.index, max(pair[0].end_mark.index, node.end_mark.index if node.value else 0)
        end = (text + "\n").index("\n", end)
        line = text[start:end].replace("null", "").replace("~", "").rstrip()
        return text[:start] + line + newline + newline.join(_lines(entries, 2)) + (text[end:] or newline)
    if node.flow_style and not node.value:
        start, end = pair[0].end_mark.index, node.end_mark.index
        return text[:start] + ":" + newline + newline.join(_lines(entries, 2)) + text[end:]
    if node.flow_style or not isinstance(node, MappingNode):
        raise UserError(f"{file}: {section}: is written in braces; add this by hand:\n{_pasted({section: entries})}")
    place = end_of_block(text, node)
    before = "" if text[:place].endswith("\n") else newline
    return (
        text[:place]
        + before
        + newline.join(_lines(entries, node.value[0][0].start_mark.column))
        + newline
        + text[place:]
    )


def _lines(entries: Mapping[str, Entry], indent: int) -> list[str]:
    return [line for name, entry in entries.items() for line in lines_of({name: entry}, indent)]


def _pasted(sections: Mapping[str, Mapping[str, Entry]]) -> str:
    return "\n".join(line for section, entries in sections.items() for line in (f"{section}:", *_lines(entries, 2)))


def write_entries(path: Path, text: str) -> None:
    """Replace a params file by a text, after it was checked.

    Raises:
        UserError: it is not valid; the file stays as it is.
    """
    with new_file(path.resolve()) as work:
        work.write_bytes(text.encode("utf-8"))
        if path.is_file():
            shutil.copymode(path, work)
        load_params(work)
