"""Turns schema violations into one line per error: file, path, value got, what is allowed."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sightline.config.base import NAME_RULE
from sightline.system.errors import UserError, nearest


class ConfigError(UserError):
    """A params file that cannot be used."""


def mistakes(
    error: ValidationError, schema: type[BaseModel], values: dict[str, Any], written: dict[str, Any], file: str
) -> list[str]:
    """Return one line per error; errors inherited from `trainer:` are reported once.

    Args:
        error: what pydantic found in `values`.
        schema: what they were checked against.
        values: as checked, with `trainer:` inherited.
        written: as they stand in the file.
        file: its name.
    """
    told: dict[str, list[str]] = {}
    for detail in error.errors():
        path = _path(detail["loc"], values)
        if not _inherited(path, written):
            told.setdefault(".".join(map(str, path)) or "top level", []).append(_told(detail, schema))
    return [f"{file}: {path}: {_alternatives(messages)}" for path, messages in told.items()]


def _alternatives(messages: list[str]) -> str:
    """Join what each member of a union would have taken into one message."""
    first, *others = dict.fromkeys(messages)
    return ", or ".join([first, *(other.split("not allowed, ")[-1].removeprefix("must be ") for other in others)])


def _path(location: tuple[int | str, ...], values: Any) -> list[int | str]:
    """Return the location without the union tags and markers that pydantic puts between keys."""
    path: list[int | str] = []
    here = values
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(here, dict) and part in here:
            path.append(part)
            here = here[part]
        elif isinstance(here, list) and isinstance(part, int):
            path.append(part)
            here = here[part] if part < len(here) else None
        elif last and isinstance(part, str) and part.isidentifier() and isinstance(here, dict):
            path.append(part)  # a missing key
    return path


def _inherited(path: list[int | str], values: dict[str, Any]) -> bool:
    if len(path) < 4 or path[0] != "models" or path[2] != "trainer":
        return False
    own = values["models"][path[1]].get("trainer", {})
    return path[3] not in own


def _told(detail: ErrorDetails, schema: type[BaseModel]) -> str:
    kind, got, context = detail["type"], detail["input"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            keys = _keys(schema, detail["loc"][:-1])
            return "unknown key" + nearest(str(detail["loc"][-1]), keys, f" (allowed: {', '.join(keys)})")
        case "missing":
            return "missing" + _description(schema, detail["loc"])
        case "union_tag_not_found":
            return f"missing {_word(context['discriminator'])}"
        case "union_tag_invalid":
            tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            told = f"{_word(context['discriminator'])} is {context['tag']!r}, allowed: {', '.join(tags)}"
            return told + nearest(context["tag"], tags)
        case "literal_error":
            expected = context["expected"]
            words = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]
            return f"{got!r} is not allowed, use one of {', '.join(words)}" + nearest(str(got), words)
        case "string_pattern_mismatch":
            where = detail["loc"]
            rule = f" ({NAME_RULE})" if where[-1] == "[key]" else _description(schema, where)
            return f"{got!r} is not allowed{rule}"
        case "value_error":
            return str(context["error"])
        case _:
            message = detail["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            return f"{got!r} is not allowed, must be {message}"


def _reached(schema: type[BaseModel], location: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, Any]:
    """Walk the schema along a pydantic error location; return the section and the field reached."""
    sections: list[type[BaseModel]] = [schema]
    field: Any = None
    for part in location:
        holder = next((section for section in sections if part in section.model_fields), None)
        if holder is not None:
            field = holder.model_fields[str(part)]
            sections = _sections(field.annotation)
        else:  # a key of a mapping, an index, or the tag of a union
            sections = [section for section in sections if _tag(section) == part] or sections
    return (sections[0] if sections else None), field


def _sections(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _sections(argument)]


def _tag(section: type[BaseModel]) -> Any:
    tag = next((field for name, field in section.model_fields.items() if name in ("kind", "format", "name")), None)
    return get_args(tag.annotation)[0] if tag else None


def _keys(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    section, _ = _reached(schema, location)
    return list(section.model_fields) if section else []


def _word(quoted: str) -> str:
    return quoted.strip("'")


def _description(schema: type[BaseModel], location: tuple[int | str, ...]) -> str:
    _, field = _reached(schema, location)
    text = described(field) if field is not None else ""
    return f" ({text})" if text else ""


def described(field: FieldInfo) -> str:
    """Return what the schema says of a field; nothing where it says nothing."""
    return field.description or next((m.description for m in field.metadata if getattr(m, "description", None)), "")
