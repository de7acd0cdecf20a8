"""Reads YAML 1.2, as DVC does: 1e-3 is a number and `no` is a word in both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError

from sightline.config.errors import ConfigError

# What the parser says where a line is further in or out than its neighbours.
_INDENTATION = ("expected <block end>", "mapping values are not allowed here", "could not find expected ':'")


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the top-level mapping of a YAML file, as plain dicts, lists, strings and numbers.

    Raises:
        ConfigError: the file is missing, is not UTF-8 or not YAML, repeats a key, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file; run this in the project's folder, or give a file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read as UTF-8 text: {error}"]) from None
    return parse_mapping(path, text)


def parse_mapping(path: Path, text: str, as_written: bool = False) -> dict[str, Any]:
    """Return the top-level mapping of YAML text; `path` is for messages.

    Args:
        path: the file that holds the text.
        text: what it holds.
        as_written: keep every scalar as the text that it is: `~`, `true` and `1` are words.

    Raises:
        ConfigError: it is not YAML, repeats a key, or is not a mapping.
    """
    try:
        values = YAML(typ="base" if as_written else "safe", pure=True).load(text)
    except DuplicateKeyError as error:
        problem = str(error.problem).split(" with value")[0]
        raise ConfigError([f"{path}: line {_line(error)}: {problem}; keep one of the two"]) from None
    except MarkedYAMLError as error:
        raise ConfigError([f"{path}: {_told(error, text)}"]) from None
    if not isinstance(values, dict):
        got = "nothing" if values is None else type(values).__name__
        wanted = "" if as_written else " with the keys datasets and models"
        raise ConfigError([f"{path}: must be a mapping{wanted}, got {got}"])
    return values


def _told(error: MarkedYAMLError, text: str) -> str:
    """Return where text is not YAML, and why; a wrong indentation may be that of the line above."""
    line, problem = _line(error), str(error.problem or error.context)
    if not problem.startswith(_INDENTATION):
        return f"line {line}: not YAML: {problem}"
    above = [number for number, one in enumerate(text.splitlines()[: line - 1], 1) if one.split("#")[0].strip()]
    where = f"line {above[-1]} or {line}" if above else f"line {line}"
    return f"{where}: not YAML: compare the indentation with the lines above ({problem})"


def _line(error: MarkedYAMLError) -> int:
    return error.problem_mark.line + 1 if error.problem_mark else 1
