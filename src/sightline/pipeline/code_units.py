"""Python modules as pieces of code: what each piece is, without its comments, and which names it uses.

A piece is a function, a class or an assignment at the top of a module, or a case of a `match` that is taken by
instances of certain classes alone.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

EFFECTS = ""  # the name of what a module runs when it is imported


@dataclass(frozen=True)
class Unit:
    """A piece of code that runs as a whole, less its `cases`.

    Attributes:
        digest: hash of its syntax tree without docstrings, annotations of functions, prints and texts of errors.
        uses: names that it refers to, dotted, as its module knows them.
        when: dotted names of classes of which only instances lead here; empty: always.
        cases: pieces inside it that have such classes.
        is_class: whether it is the definition of a class.
    """

    digest: str
    uses: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    cases: tuple[Unit, ...] = ()
    is_class: bool = False


@dataclass(frozen=True)
class Module:
    """The pieces of a module by name; `imports` are names that stand for others, dotted and absolute."""

    units: dict[str, Unit] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)


def read_module(source: str, name: str, is_package: bool = False, settings: bool = False) -> Module:
    """Split a module into units.

    Args:
        source: its text.
        name: dotted.
        is_package: whether it is an `__init__.py`.
        settings: whether its classes are sections of settings, of which only the methods count: their values are
            recorded as they come out, and what checks them makes nothing.
    """
    tree = ast.parse(source)
    package = name.split(".") if is_package else name.split(".")[:-1]
    module = Module(imports=dict(_imports(tree, package)))
    effects: list[ast.stmt] = []
    for node in tree.body:
        names = _defined(node)
        if names:
            unit = _unit([_methods_alone(node) if settings and isinstance(node, ast.ClassDef) else node])
            module.units.update(dict.fromkeys(names, replace(unit, is_class=isinstance(node, ast.ClassDef))))
        elif not _is_silent(node):
            effects.append(node)
    module.units[EFFECTS] = _unit(effects)
    return module


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement gives to one thing that nothing needs who does not use the name."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
        case ast.Assign(targets=[ast.Tuple(elts=elements)]) if all(isinstance(one, ast.Name) for one in elements):
            return [one.id for one in elements if isinstance(one, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _is_silent(node: ast.stmt) -> bool:
    """Return whether a statement at the top of a module does nothing by itself."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case _:
            return False


def _imports(tree: ast.Module, package: list[str]) -> Iterator[tuple[str, str]]:
    """Yield local names and what they stand for, of imports anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{base}.{alias.name}"


def _methods_alone(node: ast.ClassDef) -> ast.ClassDef:
    """Return a section of settings without its fields and what checks them."""
    body = [one for one in node.body if not isinstance(one, ast.AnnAssign) and not _is_check(one)]
    return ast.ClassDef(node.name, node.bases, node.keywords, body, node.decorator_list)


def _is_check(node: ast.stmt) -> bool:
    decorators = getattr(node, "decorator_list", [])
    named = [ast.unparse(one.func if isinstance(one, ast.Call) else one) for one in decorators]
    return any(name.rpartition(".")[2] in ("model_validator", "field_validator") for name in named)


def _unit(nodes: Iterable[ast.AST], when: tuple[str, ...] = ()) -> Unit:
    reader = _Reader()
    for node in nodes:
        reader.read(node)
    digest = hashlib.sha256("\n".join(reader.text).encode()).hexdigest()[:16]
    return Unit(digest, tuple(sorted(reader.uses)), when, tuple(reader.cases))


class _Reader:
    """Writes down a syntax tree, less what changes no result, and collects the names that it uses."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.uses: set[str] = set()
        self.cases: list[Unit] = []

    def read(self, node: Any) -> None:
        match node:
            case ast.Name(id=name):
                self.uses.add(name)
                self.text.append(name)
            case ast.Attribute():
                self._attribute(node)
            case ast.Raise(exc=ast.Call(func=error)):  # the words of an error
                self.text.append("raise")
                self.read(error)
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
                pass
            case ast.match_case() if classes := _classes(node.pattern):
                self._case(node, classes)
            case ast.Call(func=ast.Name(id="isinstance"), args=[value, _]):
                self.text.append(ast.unparse(node.args[1]))  # a question after a class makes no instance
                self.read(value)
            case ast.AST():
                self._fields(node)
            case list():
                self.text.append("[")
                for one in node:
                    self.read(one)
                self.text.append("]")
            case _:
                self.text.append(repr(node))

    def _fields(self, node: ast.AST) -> None:
        self.text.append(type(node).__name__)
        for name, value in ast.iter_fields(node):
            if value is None or name in _IDLE or (name in _HINTS and isinstance(node, _HINTED)):
                continue
            documented = name == "body" and isinstance(node, _DOCUMENTED) and _has_docstring(value)
            self.text.append(name)
            self.read(value[1:] if documented else value)

    def _attribute(self, node: ast.Attribute) -> None:
        path: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            path.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            dotted = ".".join([inner.id, *reversed(path)])
            self.uses.add(dotted)
            self.text.append(dotted)
        else:
            self.text.append(".".join(reversed(path)))
            self.read(inner)

    def _case(self, node: ast.match_case, classes: tuple[str, ...]) -> None:
        body = [ast.Module(node.body, []), *([node.guard] if node.guard else [])]
        pattern = Unit(hashlib.sha256(ast.unparse(node.pattern).encode()).hexdigest()[:16])
        case = _unit(body, classes)
        self.cases.append(Unit(pattern.digest + case.digest, case.uses, classes, case.cases))


_IDLE = {"kind", "type_comment", "type_params", "ctx", "type_ignores"}
_HINTS = {"returns", "annotation"}
_HINTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.arg)
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _has_docstring(body: list[ast.stmt]) -> bool:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
        case _:
            return False


def _classes(pattern: ast.pattern) -> tuple[str, ...]:
    """Return the classes of which one must be what a pattern matches; () where others may match too."""
    match pattern:
        case ast.MatchClass(cls=cls):
            return (ast.unparse(cls),)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _classes(inner)
        case ast.MatchOr(patterns=patterns):
            each = [_classes(one) for one in patterns]
            return tuple(name for names in each for name in names) if all(each) else ()
        case _:
            return ()
