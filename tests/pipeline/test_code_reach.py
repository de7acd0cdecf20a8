"""Code is followed through a small made-up package."""

from pathlib import Path

import pytest

from sightline.pipeline.code_reach import Library, reached

FILES = {
    "__init__.py": "",
    "config/__init__.py": "from pkg.config.nets import Big, Net, Small\n",
    "config/nets.py": (
        "class Base:\n    pass\n\nclass Small(Base):\n    pass\n\nclass Big(Base):\n    pass\n\nNet = Small | Big\n"
    ),
    "build.py": (
        "from pkg.config import Big, Net, Small\n"
        "def build(net):\n"
        "    match net:\n"
        "        case Small():\n"
        "            from pkg.nets import small\n"
        "            return small()\n"
        "        case Big():\n"
        "            from pkg import nets\n"
        "            return nets.big()\n"
        "def check(value):\n"
        "    return TypeAdapter(Net).validate(value)\n"
        "def made():\n"
        "    return Big()\n"
    ),
    "nets.py": "from pkg import words\nWIDTH = 3\ndef small():\n    return WIDTH\ndef big():\n    return helper()\n"
    "def helper():\n    return words.said\ndef unused():\n    return 0\n",
    "words.py": "said = 'hello'\n",
    "noisy/__init__.py": "import os\nos.environ['X'] = '1'\n",
    "noisy/inner.py": "def inner():\n    return 1\n",
}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for name, text in FILES.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Library({"pkg": tmp_path / "pkg"}, "pkg.config", tmp_path / "cache.json")


def found(library: Library, start: str, *live: str, idle: tuple[str, ...] = ()) -> set[str]:
    module, _, name = start.rpartition(".")
    pieces = reached(library, [(module, name)], live, idle)
    return {piece for piece in pieces if piece.rpartition(".")[2]}


def test_a_case_counts_where_its_section_exists(library: Library) -> None:
    small = found(library, "pkg.build.build", "pkg.config.nets.Small")
    assert {"pkg.build.build", "pkg.nets.small", "pkg.nets.WIDTH"} <= small
    assert "pkg.nets.big" not in small
    big = found(library, "pkg.build.build", "pkg.config.nets.Big")
    assert {"pkg.nets.big", "pkg.nets.helper", "pkg.words.said"} <= big
    assert "pkg.nets.small" not in big
    assert not {piece for piece in small | big if piece.endswith("unused")}


def test_a_section_that_code_makes_exists(library: Library) -> None:
    assert "pkg.config.nets.Big" in found(library, "pkg.build.made")
    both = reached(library, [("pkg.build", "build"), ("pkg.build", "made")], [], ())
    assert "pkg.nets.big" in both


def test_a_choice_among_sections_makes_none(library: Library) -> None:
    checked = found(library, "pkg.build.check")
    assert "pkg.config.nets.Net" in checked
    assert not {"pkg.config.nets.Small", "pkg.config.nets.Big"} & checked


def test_idle_packages_are_not_looked_into(library: Library) -> None:
    assert "pkg.words.said" not in found(library, "pkg.nets.big", idle=("pkg.words",))


def test_what_a_package_runs_at_once_counts_for_all_in_it(library: Library) -> None:
    assert "pkg.noisy." in reached(library, [("pkg.noisy.inner", "inner")], [], ())


def test_what_was_read_before_is_remembered_until_it_changes(library: Library, tmp_path: Path) -> None:
    first = reached(library, [("pkg.nets", "big")], [], ())
    library.save()
    again = Library(library.roots, library.settings, library.cache)
    assert reached(again, [("pkg.nets", "big")], [], ()) == first
    (tmp_path / "pkg/words.py").write_text("said = 'good evening'\n")
    changed = Library(library.roots, library.settings, library.cache)
    now = reached(changed, [("pkg.nets", "big")], [], ())
    assert {key for key in first if first[key] != now[key]} == {"pkg.words.said"}
