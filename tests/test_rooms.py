"""The package has few rooms, and its modules import each other in one direction."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "sightline"
MOST_ROOMS = 12


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def statements(node: ast.AST, later: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield imports that run with a module, with `later` also those inside functions; never those for type checking."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import() | ast.ImportFrom():
                yield child
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for other in child.orelse:
                    yield from statements(other, later)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if not later:
                pass
            case _:
                yield from statements(child, later)


def imported(name: str, tree: ast.Module, later: bool) -> set[str]:
    """Return the modules of the package that a module names, and not itself."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    told: set[str] = set()
    for statement in statements(tree, later):
        if isinstance(statement, ast.Import):
            told |= {alias.name for alias in statement.names}
            continue
        above = package[: len(package) + 1 - statement.level] if statement.level else []
        base = ".".join([*above, *([statement.module] if statement.module else [])])
        inner = {f"{base}.{alias.name}" for alias in statement.names}
        told |= inner & set(MODULES)
        if inner - set(MODULES):
            told.add(base)  # something that the module or package itself defines
    return (told & set(MODULES)) - {name}


@pytest.mark.parametrize("later", [False, True], ids=["at import", "in functions too"])
def test_imports_go_round_nowhere(later: bool) -> None:
    graph = {name: imported(name, ast.parse(path.read_bytes()), later) for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > len(graph)  # something was read
    TopologicalSorter(graph).prepare()  # a CycleError names the modules


def test_the_top_has_few_rooms() -> None:
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py") and not path.name.startswith("__")}
    assert 1 < len(names) <= MOST_ROOMS, sorted(names)


def test_words_of_errors_are_found_in_one_place() -> None:
    known = {"get_close_matches", "splitlines()[0]", "iter(str(error)"}
    users = {name for name, path in MODULES.items() if any(word in path.read_text("utf-8") for word in known)}
    assert users == {"sightline.system.errors"}, "use sightline.system.errors"


def test_no_module_is_called_utils() -> None:
    words = {"utils", "util", "helpers", "common", "misc"}
    assert not [name for name in MODULES if words & set(name.split("."))]
