"""Tasks, formats and metrics of other packages, found by their entry points.

A package names its classes in its `pyproject.toml`; installing it is enough:

    [project.entry-points."sightline.tasks"]
    counting = "shop.settings:Counting"

The class is a section of `params.yaml`, so its module is imported with every command and should import neither torch
nor anything else that is slow. What does the work is named as `module:function` and imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from sightline.config.errors import ConfigError

T = TypeVar("T")
TASKS, FORMATS, METRICS = "sightline.tasks", "sightline.formats", "sightline.metrics"


@cache
def installed(group: str) -> dict[str, Any]:
    """Return what the entry points of a group name, by their names, sorted.

    Raises:
        ConfigError: one cannot be imported.
    """
    return {point.name: _load(point) for point in sorted(entry_points(group=group), key=lambda one: one.name)}


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        whose = point.dist.name if point.dist else "an installed package"
        raise ConfigError(
            [
                f"entry point {point.name} = {point.value!r} ({point.group}) of {whose}: cannot be imported "
                f"({type(error).__name__}: {error}); fix or uninstall that package"
            ]
        ) from error


def sections(group: str, base: type[T], tag: str) -> dict[str, type[T]]:
    """Return the classes that the entry points of a group name, by their kind or format.

    Args:
        group: of entry points.
        base: the class that each must be derived from.
        tag: the field, of type `Literal`, that must hold the entry point's name.

    Raises:
        ConfigError: one is something else.
    """
    found = installed(group)
    for name, one in found.items():
        if not (isinstance(one, type) and issubclass(one, base)):
            raise ConfigError([f"entry point {name} ({group}): {one!r} must be a class derived from {base.__name__}"])
        field = one.model_fields.get(tag)  # type: ignore[attr-defined]
        values = getattr(field.annotation, "__args__", ()) if field else ()
        if values != (name,):
            raise ConfigError([f'entry point {name} ({group}): {one.__qualname__} must have {tag}: Literal["{name}"]'])
    return found


def implementation(path: str) -> Callable[..., Any]:
    """Return the function that `module:function` names.

    Raises:
        ConfigError: there is none.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError([f"{path}: cannot be imported ({error}); fix the package that refers to it"]) from error
    if not callable(found):
        raise ConfigError([f"{path}: is not a function"])
    return found  # type: ignore[no-any-return]
