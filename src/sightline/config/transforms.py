"""Checks a policy against Albumentations' signatures and schemas; torch is not imported for that."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from sightline.config.augmentations import MIXING_NAMES, MixingName, mixing_of
from sightline.system.errors import first_line, nearest

COMPOSITIONS = ("OneOf", "SomeOf", "RandomOrder", "Sequential")
# Classes of Albumentations that no policy may name, and why.
_ELSEWHERE = "not needed, as images are normalised on the device; leave it out"
_UNFIT = {
    "Lambda": "needs functions, which cannot be written in a file",
    "Normalize": _ELSEWHERE,
    "ToFloat": _ELSEWHERE,
    "FromFloat": _ELSEWHERE,
    "ToTensorV2": _ELSEWHERE,
    "ToTensor3D": _ELSEWHERE,
    "ToRGB": "changes the number of channels; set input.channels",
}
Mistakes = Iterator[tuple[str, str]]  # path below the policy, what is wrong there
# Transforms after which a text is written from right to left, upside down, upwards or downwards, or in another order.
_MIRRORING = {
    "HorizontalFlip": "mirrors",
    "VerticalFlip": "mirrors",
    "Transpose": "mirrors",
    "D4": "mirrors and turns",
    "SquareSymmetry": "mirrors and turns",
    "RandomRotate90": "turns by right angles",
    "RandomGridShuffle": "exchanges parts of",
}


def albumentations() -> Any:
    """Return the library, imported without its torch part, which costs half of its 3 s and is not used."""
    if "albumentations" not in sys.modules and "torch" not in sys.modules:
        sys.modules["albumentations.pytorch"] = None  # type: ignore[assignment]  # its import fails, and is forgiven
        try:
            import albumentations as A  # noqa: N812
        finally:
            del sys.modules["albumentations.pytorch"]
        return A
    import albumentations as A  # noqa: N812

    return A


def transform_names() -> list[str]:
    """Return the names of the transforms of single images that a policy may use."""
    library = albumentations()
    kinds = (library.ImageOnlyTransform, library.DualTransform)
    return [
        name
        for name, found in vars(library).items()
        if inspect.isclass(found)
        and issubclass(found, kinds)
        and not issubclass(found, library.Transform3D)
        and found not in kinds
        and name not in (*_UNFIT, "Mosaic")
    ]


def find_mistakes(policy: list[Any], inner: bool = False) -> Mistakes:
    """Yield position and kind of each error in a list of transforms.

    Args:
        policy: as read.
        inner: whether the list stands in a composition such as OneOf, where there is no mixing.
    """
    for place, entry in enumerate(policy):
        if not isinstance(entry, dict) or len(entry) != 1:
            yield (
                f"[{place}]",
                f"{entry!r} is not one transform with its arguments, as in {{HorizontalFlip: {{p: 0.5}}}}",
            )
            continue
        [(name, arguments)] = entry.items()
        path = f"[{place}].{name}"
        if not isinstance(arguments, dict):
            yield path, f"{arguments!r} is not a mapping of arguments; write {{{name}: {{}}}} for the defaults"
        elif name in MIXING_NAMES:
            yield from _mixing_mistakes(path, name, arguments, inner)
        elif name in COMPOSITIONS:
            yield from _composition_mistakes(path, name, arguments)
        else:
            yield from _transform_mistakes(path, name, arguments)


def find_mirroring(policy: list[Any]) -> Mistakes:
    """Yield position and kind of each transform of a checked policy that a line of text does not survive."""
    for place, entry in enumerate(policy):
        [(name, arguments)] = entry.items()
        path = f"[{place}].{name}"
        if name in _MIRRORING and arguments.get("p", 0.5) != 0:
            yield path, f"{_MIRRORING[name]} images, after which a text is another one or none; leave it out"
        if name in COMPOSITIONS:
            yield from ((f"{path}.transforms{inner}", what) for inner, what in find_mirroring(arguments["transforms"]))


def _mixing_mistakes(path: str, name: MixingName, arguments: dict[str, Any], inner: bool) -> Mistakes:
    if inner:
        yield path, "mixes whole batches; put it at the top of the policy"
        return
    schema = mixing_of(name)
    yield from _unknown(path, arguments, list(schema.model_fields))
    try:
        schema.model_validate({key: value for key, value in arguments.items() if key in schema.model_fields})
    except ValidationError as error:
        yield from _refused(path, error)


def _composition_mistakes(path: str, name: str, arguments: dict[str, Any]) -> Mistakes:
    yield from _unknown(path, arguments, arguments_of(getattr(albumentations(), name)))
    transforms = arguments.get("transforms")
    if not isinstance(transforms, list) or not transforms:
        yield f"{path}.transforms", f"{transforms!r} is not a list of transforms"
        return
    for place, told in find_mistakes(transforms, inner=True):
        yield f"{path}.transforms{place}", told
    chance, count = arguments.get("p", 1.0), arguments.get("n", 1)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        yield f"{path}.p", f"{chance!r} is not allowed, must be a number from 0 to 1"
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(transforms):
        yield f"{path}.n", f"{count!r} is not allowed, must be an integer from 1 to {len(transforms)}"


def _transform_mistakes(path: str, name: str, arguments: dict[str, Any]) -> Mistakes:
    if name in _UNFIT:
        yield path, _UNFIT[name]
        return
    names = transform_names()
    if name not in names:
        yield path, "unknown transform" + nearest(name, [*names, *COMPOSITIONS, *MIXING_NAMES])
        return
    found = getattr(albumentations(), name)
    unknown = list(_unknown(path, arguments, arguments_of(found)))
    yield from unknown
    if unknown:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found(**arguments, **_strictly(found))
    except (ValueError, TypeError) as error:
        if isinstance(error.__cause__, ValidationError):
            yield from _refused(path, error.__cause__)
        else:
            yield path, first_line(error)


def _strictly(found: type) -> dict[str, bool]:
    """Return the argument without which a transform takes defaults for some values that it does not like.

    Those whose `__init__` has no schema of its own (RandomRotate90, MedianBlur, ToSepia) do not know it.
    """
    checked = "InitSchema" in vars(found) or "__init__" not in vars(found)
    return {"strict": True} if checked else {}


def arguments_of(found: type) -> list[str]:
    """Return the names of the arguments of a transform or composition."""
    return [name for name in inspect.signature(found).parameters if name not in ("self", "strict")]


def _unknown(path: str, arguments: dict[str, Any], allowed: list[str]) -> Mistakes:
    for name in arguments:
        if name not in allowed:
            yield f"{path}.{name}", "unknown argument" + nearest(name, allowed, f" (allowed: {', '.join(allowed)})")


def _refused(path: str, error: ValidationError) -> Mistakes:
    """Yield one error per argument; what each member of a union would have taken is joined."""
    told: dict[str, list[str]] = {}
    for detail in error.errors():
        where = f"{path}.{detail['loc'][0]}" if detail["loc"] else path
        message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
        message = message.split(", unable to parse")[0]
        if detail["type"] == "missing":
            told.setdefault(where, []).append("missing")
        elif detail["type"] in ("value_error", "assertion_error"):
            told.setdefault(where, []).append(message.removeprefix("Assertion failed, "))
        else:
            told.setdefault(where, []).append(f"{detail['input']!r} is not allowed, must be {message}")
    for where, messages in told.items():
        first, *others = dict.fromkeys(messages)
        yield where, ", or ".join([first, *(other.split("not allowed, must be ")[-1] for other in others)])
