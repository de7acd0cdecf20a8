"""What of a module counts as its code, and what does not."""

import pytest

from sightline.pipeline.code_units import EFFECTS, read_module

START = '''
"""A module."""
import math
from .near import Shape as Form, area
from sightline.data import store

LIMIT = 3


def grow(size: int, by: float = 1.0) -> float:
    """Grow."""
    if size > LIMIT:
        raise ValueError(f"too large: {size}")
    print("grown")
    return math.sqrt(size) * by  # by so much


class Box(Form):
    """A box."""

    def side(self) -> float:
        return area(self) + store.SIZE
'''


def digest(source: str, name: str = "grow") -> str:
    return read_module(source, "sightline.shapes.box").units[name].digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Grow."""', '"""Grow more."""'),
        ("# by so much", "# by that much"),
        ("size: int, by: float = 1.0) -> float", "size, by = 1.0)"),
        ("too large", "larger than allowed"),
        ('print("grown")', 'print("it has grown")'),
        ("sqrt(size) * by", "sqrt( size )*by"),
    ],
)
def test_words_are_no_code(old: str, new: str) -> None:
    assert old in START
    assert digest(START.replace(old, new)) == digest(START)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* by", "/ by"),
        ("= 1.0", "= 2.0"),
        ("size > LIMIT", "size >= LIMIT"),
        ("ValueError(", "KeyError("),
        ("sqrt", "exp"),
    ],
)
def test_arithmetic_is_code(old: str, new: str) -> None:
    assert digest(START.replace(old, new, 1)) != digest(START)


def test_a_piece_knows_what_it_uses() -> None:
    module = read_module(START, "sightline.shapes.box")
    assert module.imports["Form"] == "sightline.shapes.near.Shape"
    assert module.imports["area"] == "sightline.shapes.near.area"
    assert module.imports["store"] == "sightline.data.store"
    assert {"LIMIT", "math.sqrt"} <= set(module.units["grow"].uses)
    assert {"Form", "area", "store.SIZE"} <= set(module.units["Box"].uses)
    assert module.units[EFFECTS].uses == ()


def test_what_a_module_runs_at_once_is_a_piece_of_its_own() -> None:
    module = read_module("import torch\ntorch.use_deterministic_algorithms(True)\n", "sightline.start")
    assert module.units[EFFECTS].uses == ("torch.use_deterministic_algorithms",)


def test_relative_imports_of_a_package_start_in_it() -> None:
    assert read_module("from .a import b", "x.y", is_package=True).imports == {"b": "x.y.a.b"}
    assert read_module("from ..a import b", "x.y.z").imports == {"b": "x.a.b"}


def test_a_case_of_a_class_is_a_piece_inside() -> None:
    unit = read_module(
        "def build(c):\n"
        "    match c:\n"
        "        case Adam(lr=lr) | AdamW(lr=lr):\n"
        "            return fast(lr)\n"
        "        case {'a': 1}:\n"
        "            return plain(c)\n"
        "        case _:\n"
        "            return other(c)\n",
        "m",
    ).units["build"]
    assert [case.when for case in unit.cases] == [("Adam", "AdamW")]
    assert unit.cases[0].uses == ("fast", "lr")
    assert {"plain", "other"} <= set(unit.uses)
    assert "fast" not in unit.uses


def test_of_settings_only_the_methods_count() -> None:
    source = (
        "class Net(Section):\n    size: int = Field(3, description='side')\n"
        "    @model_validator(mode='after')\n    def _fits(self):\n        return check(self)\n"
        "    def values(self):\n        return self.size\n"
    )
    other = source.replace("side", "pixels").replace("3", "4").replace("check", "test")
    pieces = [read_module(text, "m", settings=True).units["Net"].digest for text in (source, other)]
    assert pieces[0] == pieces[1]
    assert read_module(source.replace("self.size", "1"), "m", settings=True).units["Net"].digest != pieces[0]
