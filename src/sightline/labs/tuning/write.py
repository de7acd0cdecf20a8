"""Changes single values of a params file and leaves every other byte as it is.

ruamel's own round trip keeps comments, but reformats what is not in its style: indents, the position of comments, and
`null`, which it leaves out. So ruamel only locates each value, and the text is changed there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from sightline.config import load_params
from sightline.config.text import end_of_block
from sightline.labs.tuning.findings import Value
from sightline.system.errors import UserError
from sightline.system.files import new_file


def write_changes(path: Path, model: str, changes: Mapping[str, Value]) -> None:
    """Write settings of one model into a params file.

    Args:
        path: the file.
        model: its name.
        changes: values by dotted path below the model, e.g. `optimizer.lr`.

    Raises:
        UserError: another model shares what is to be changed, or the result would not be valid; nothing is written.
    """
    file = path.resolve()  # a link stays one
    text = changed_text(file.read_bytes().decode("utf-8"), model, changes, str(path))
    with new_file(file) as work:
        work.write_bytes(text.encode("utf-8"))
        shutil.copymode(file, work)
        load_params(work)


def changed_text(text: str, model: str, changes: Mapping[str, Value], file: str) -> str:
    """Return the text of a params file with other values for one model.

    A model that is an alias, or takes a section from another by `<<` or `*`, gets a separate section.

    Args:
        text: of the file.
        model: a name among its models.
        changes: values by dotted path below the model.
        file: its name, for messages.

    Raises:
        UserError: the values cannot be changed alone.
    """
    wanted = _unshared(_load(text))
    for dotted, value in changes.items():
        path = ["models", model, *dotted.split(".")]
        text = _with_value(text, path, value)
        _put(wanted, path, value)
    try:
        got = _unshared(_load(text))
    except YAMLError:
        got = None
    if got == wanted:
        return text
    told = ", ".join(f"{dotted}: {_written(value)}" for dotted, value in changes.items())
    sharing = [name for name, own in wanted["models"].items() if got and got["models"].get(name) != own]
    shared = f"shares them with {', '.join(sharing)} through a YAML anchor" if sharing else "has an unusual layout"
    raise UserError(f"{file}: models.{model}: {shared}; set these by hand: {told}")


def _with_value(text: str, path: Sequence[str], value: Value) -> str:
    """Return the text with one value replaced or added."""
    node = YAML(typ="safe", pure=True).compose(text)
    for depth, key in enumerate(path):
        assert isinstance(node, MappingNode)
        entry = next((pair for pair in node.value if pair[0].value == key), None)
        if entry is None:
            return _with_entry(text, node, f"{key}: {_written(_changed(text, path, depth, value))}")
        span = _alias(text, *entry)
        if span is not None and depth + 1 < len(path):
            inner = f"{path[depth + 1]}: {_written(_changed(text, path, depth + 1, value))}"
            return f"{text[: span[0]]}{{<<: {text[slice(*span)]}, {inner}}}{text[span[1] :]}"
        node = entry[1]
        start, end = span or (node.start_mark.index, node.end_mark.index)
        if span is None and isinstance(node, CollectionNode) and not node.flow_style:
            end = len(text[:end].rstrip())  # ruamel lets a block end where the next key begins
    new = _written(value)
    if isinstance(node, ScalarNode) and isinstance(value, str) and node.style in ("'", '"'):
        new = node.style + value + node.style  # quoted as it was
    return text[:start] + new + text[end:]


def _with_entry(text: str, mapping: MappingNode, entry: str) -> str:
    """Return the text with an entry `key: value` at the end of a mapping."""
    end = mapping.end_mark.index
    if mapping.flow_style:
        body = text[: end - 1].rstrip()
        comma = "" if body.endswith("{") else " " if body.endswith(",") else ", "
        return f"{body}{comma}{entry}{text[end - 1 :]}"
    first, place = mapping.value[0][0].start_mark, end_of_block(text, mapping)
    newline = "\r\n" if "\r\n" in text else "\n"
    before = "" if text[:place].endswith("\n") else newline
    return f"{text[:place]}{before}{' ' * first.column}{entry}{newline}{text[place:]}"


def _alias(text: str, key: Node, value: Node) -> tuple[int, int] | None:
    """Return where `*name` stands, if that is an entry's value; its node stands where the anchor is."""
    if value.start_mark.index > key.start_mark.index:
        return None
    events = (event for event in YAML(typ="safe", pure=True).parse(text) if isinstance(event, AliasEvent))
    mark = next(event for event in events if event.start_mark.index >= key.end_mark.index)
    return mark.start_mark.index, mark.end_mark.index


def _changed(text: str, path: Sequence[str], depth: int, value: Value) -> Any:
    """Return what stands, or is inherited, at `path[depth]`, with the new value in it."""
    here = _unshared(_load(text))
    _put(here, path, value)
    for key in path[: depth + 1]:
        here = here[key]
    return here


def _put(values: dict[str, Any], path: Sequence[str], value: Value) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
    values[path[-1]] = value


def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _unshared(values: Any) -> Any:
    """Return plain values of which no two are the same object, as they are behind an anchor and its aliases."""
    match values:
        case dict():
            return {key: _unshared(value) for key, value in values.items()}
        case list():
            return [_unshared(value) for value in values]
        case _:
            return values


def _written(value: Any) -> str:
    """Return a value as YAML on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_written(own)}" for key, own in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case str() if re.fullmatch(r"[A-Za-z_][\w.-]*", value) and _load(value) == value:
            return value
        case _:
            return json.dumps(value)  # is YAML too
