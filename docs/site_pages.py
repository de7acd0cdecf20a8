"""Pages of the site that are no files below docs/: those at the root of the project, and the keys of params.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    for source, page in ROOT_PAGES.items():
        text = _LINK.sub(lambda link, page=page: f"]({_moved(link[1], page)}", (root / source).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "reference/params.md", content="\n".join(params_page())))
    return files


def _moved(target: str, page: str) -> str:
    """Return a link of a page at the root as one of `page`."""
    place = ROOT_PAGES.get(target, target.removeprefix("docs/"))
    return os.path.relpath(place, PurePosixPath(page).parent)


def params_page() -> Iterator[str]:
    """Yield the lines of a page with each section and key of params.yaml, from its schema."""
    from sightline.commands.schema import params_schema

    schema = params_schema()
    sections = schema["$defs"]
    yield "# params.yaml\n"
    yield "Every key of `params.yaml`, with its values and default; required ones are in **bold**."
    yield "`sightline schema` writes the same for editors.\n"
    yield "## The file\n"
    yield from _table(schema)
    for name in _in_order(schema, sections):
        yield f"## {name}\n"
        yield f"{sections[name].get('description', '')}\n"
        yield from _table(sections[name])


def _in_order(schema: Any, sections: dict[str, Any]) -> list[str]:
    """Return the names of sections as the file leads to them."""
    found: dict[str, None] = {}

    def follow(node: Any) -> None:
        match node:
            case {"$ref": str(reference)}:
                name = reference.split("/")[-1]
                if name not in found:
                    found[name] = None
                    follow(sections[name])
            case dict():
                for key, value in node.items():
                    if key not in ("$defs", "discriminator", "default"):
                        follow(value)
            case list():
                for value in node:
                    follow(value)

    follow(schema)
    return list(found)


def _table(section: dict[str, Any]) -> Iterator[str]:
    properties = section.get("properties", {})
    if not properties:
        return
    yield "| key | values | default | what it is |\n|---|---|---|---|"
    what_it_is_first = sorted(properties.items(), key=lambda pair: "const" not in pair[1])
    for name, value in what_it_is_first:
        required = name in section.get("required", [])
        default = "" if "default" not in value else _plain(value["default"])
        key = f"**`{name}`**" if required else f"`{name}`"
        yield f"| {key} | {_values(value)} | {default} | {_cell(value.get('description', ''))} |"
    yield ""


def _values(node: dict[str, Any]) -> str:
    match node:
        case {"$ref": str(reference)}:
            name = reference.split("/")[-1]
            return f"[{name}](#{name.lower()})"
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"anyOf": values} | {"oneOf": values}:
            return ", ".join(dict.fromkeys(_values(value) for value in values))
        case {"type": "array", "items": dict(inner)} if inner:
            return f"list of {_values(inner)}"
        case {"type": "object", "patternProperties": dict(inner)}:
            return f"NAME: {_values(next(iter(inner.values())))}"
        case {"type": "object", "additionalProperties": dict(inner)} if inner:
            return f"NAME: {_values(inner)}"
        case {"type": str(kind)}:
            return {"object": "mapping", "array": "list", "string": "text", "boolean": "true, false"}.get(
                kind, kind
            ) + _bounds(node)
        case _:
            return "anything"


def _bounds(node: dict[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {node[name]:g}" for name, sign in words.items() if name in node]
    return f" {', '.join(told)}" if told else ""


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{}" if not value else "its own defaults"
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
