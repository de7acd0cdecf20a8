"""Which pieces of code can run from where: the calls and names of a program followed through its modules.

Names are followed as rapid type analysis does (D. F. Bacon and P. F. Sweeney 1996, Fast Static Analysis of C++ Virtual
Function Calls): a case of a `match` after a section of settings counts only where such a section exists, as settings
come from `params.yaml` alone. Everything else that is named counts, so what is found is never too little.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sightline.pipeline.code_units import EFFECTS, Module, Unit, read_module
from sightline.system.files import write_json

_FORMAT = 3  # of the cache
_NOTHING = read_module("", "").units[EFFECTS]


@dataclass
class Library:
    """The modules of some packages, read when they are first asked for.

    Attributes:
        roots: top package -> its folder, or the file of a single module.
        settings: package whose classes are sections of settings.
        cache: file with modules as they were read before, by path, time and size; it may be deleted at any time.
    """

    roots: Mapping[str, Path]
    settings: str
    cache: Path | None = None
    _modules: dict[str, Module | None] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)
    _fresh: bool = True

    def __post_init__(self) -> None:
        if self.cache is not None and self.cache.is_file():
            known = json.loads(self.cache.read_text(encoding="utf-8"))
            self._known = known["modules"] if known["format"] == _FORMAT else {}

    def module(self, name: str) -> Module | None:
        """Return a module by its dotted name, None if there is none."""
        if name not in self._modules:
            path = self.path(name)
            self._modules[name] = None if path is None else self.read(path, name)
        return self._modules[name]

    def path(self, name: str) -> Path | None:
        """Return the file of a module, None if there is none."""
        top, *inner = name.split(".")
        if top not in self.roots:
            return None
        base = self.roots[top].joinpath(*inner)
        if not inner and base.suffix == ".py":
            return base
        paths = (base / "__init__.py", base.with_suffix(".py")) if inner else (base / "__init__.py",)
        return next((path for path in paths if path.is_file()), None)

    def read(self, path: Path, name: str) -> Module:
        """Split the module in a file into units, or return the remembered ones."""
        state = path.stat()
        key, stamp = str(path), [state.st_mtime_ns, state.st_size]
        if (known := self._known.get(key)) and known["state"] == stamp:
            return Module({unit: _unit(values) for unit, values in known["units"].items()}, known["imports"])
        text = path.read_text(encoding="utf-8")
        module = read_module(text, name, path.name == "__init__.py", self.is_settings(name))
        units = {unit: asdict(value) for unit, value in module.units.items()}
        self._known[key] = {"state": stamp, "units": units, "imports": module.imports}
        self._fresh = False
        return module

    def is_settings(self, name: str) -> bool:
        """Return whether a dotted name is in the package of settings."""
        return name == self.settings or name.startswith(f"{self.settings}.")

    def save(self) -> None:
        """Write what was read into the cache."""
        if self.cache is not None and not self._fresh:
            write_json(self.cache, {"format": _FORMAT, "modules": self._known})
            self._fresh = True

    def find(self, module: str, dotted: str) -> list[tuple[str, str]]:
        """Return the pieces, as module and name, that a dotted name in a module stands for."""
        own = self.module(module)
        if own is None:
            return []
        head, _, rest = dotted.partition(".")
        if head in own.units:
            return [(module, head)]
        if head in own.imports:
            return self._absolute(f"{own.imports[head]}.{rest}" if rest else own.imports[head])
        return []

    def _absolute(self, dotted: str) -> list[tuple[str, str]]:
        parts = dotted.split(".")
        if parts[0] not in self.roots:
            return []
        end = next((end for end in range(len(parts), 0, -1) if self.module(".".join(parts[:end]))), 0)
        name, rest = ".".join(parts[:end]), parts[end:]
        module = self.module(name)
        if module is None:
            return []
        if not rest:  # the module itself, whatever of it is asked for then
            return [(name, unit) for unit in module.units]
        return self.find(name, ".".join(rest)) or [(name, EFFECTS)]


def _unit(values: Mapping[str, Any]) -> Unit:
    cases = tuple(_unit(case) for case in values["cases"])
    return Unit(values["digest"], tuple(values["uses"]), tuple(values["when"]), cases, values["is_class"])


def reached(
    library: Library, start: Iterable[tuple[str, str]], live: Iterable[str], idle: Iterable[str]
) -> dict[str, str]:
    """Return name -> digest of the pieces that can run.

    Args:
        library: of modules.
        start: pieces that run, as module and name.
        live: dotted names of the sections of settings that exist.
        idle: modules, or packages of them, that are not looked into.
    """
    return _Search(library, tuple(idle)).run([*start, *(_split(name) for name in live)])


def _split(dotted: str) -> tuple[str, str]:
    module, _, name = dotted.rpartition(".")
    return module, name


class _Search:
    def __init__(self, library: Library, idle: tuple[str, ...]) -> None:
        self.library, self.idle = library, idle
        self.found: dict[str, str] = {}
        self.silent: set[str] = set()
        self.waiting: list[tuple[str, str]] = []
        self.undecided: list[tuple[str, str, Unit]] = []

    def run(self, start: list[tuple[str, str]]) -> dict[str, str]:
        self.waiting = start
        while self.waiting:
            while self.waiting:
                self._reach(*self.waiting.pop())
            undecided, self.undecided = self.undecided, []
            for module, name, case in undecided:
                self._decide(module, name, case)
        return {key: self.found[key] for key in sorted(self.found.keys() - self.silent)}

    def _reach(self, module: str, name: str) -> None:
        own = self.library.module(module)
        key = f"{module}.{name}"
        if own is None or key in self.found or name not in own.units or self._is_idle(module):
            return
        unit = own.units[name]
        self.found[key] = unit.digest
        if name == EFFECTS and unit == _NOTHING:
            self.silent.add(key)
        if f"{module}.{EFFECTS}" not in self.found:
            self.waiting += [(package, EFFECTS) for package in _around(module)]
            self.waiting += self._imported(own)
        self._follow(module, key, unit)

    def _imported(self, module: Module) -> Iterator[tuple[str, str]]:
        """Yield what runs because a module imports others."""
        for dotted in module.imports.values():
            for name in (dotted, _split(dotted)[0]):
                if self.library.module(name):
                    yield name, EFFECTS

    def _follow(self, module: str, key: str, unit: Unit) -> None:
        for used in unit.uses:
            self.waiting += [one for one in self.library.find(module, used) if not self._is_choice(module, unit, *one)]
        named = Counter[str]()
        for case in unit.cases:
            own = "|".join(case.when)
            named[own] += 1
            self._decide(module, f"{key}:{own}" + (f":{named[own]}" if named[own] > 1 else ""), case)

    def _is_choice(self, module: str, unit: Unit, target: str, name: str) -> bool:
        """Return whether a class is only named among the sections that settings may have."""
        choices = self.library.is_settings(module) and not unit.is_class and not unit.when
        return choices and self.library.is_settings(target) and self._section(target, name)

    def _section(self, module: str, name: str) -> bool:
        own = self.library.module(module)
        return own is not None and name in own.units and own.units[name].is_class

    def _decide(self, module: str, name: str, case: Unit) -> None:
        classes = [target for used in case.when for target in self.library.find(module, used)]
        sections = len(classes) >= len(case.when) and all(self.library.is_settings(one) for one, _ in classes)
        if sections and not any(f"{own}.{one}" in self.found for own, one in classes):
            self.undecided.append((module, name, case))
            return
        self.found[name] = case.digest
        self._follow(module, name, case)

    def _is_idle(self, module: str) -> bool:
        return any(module == one or module.startswith(f"{one}.") for one in self.idle)


def _around(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
