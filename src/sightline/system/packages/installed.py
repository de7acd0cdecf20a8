"""The packages that one package needs to run, as they are installed here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sightline.system.packages.licences import stated


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        name: normalised, as in a package index.
        version: that is installed.
        licence: an SPDX expression; "" where its metadata do not say.
        needs: names of the packages that it needs, in order.
        record_sha256: of the list of its files and their hashes, as the installer wrote it; "" without one.
    """

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]
    record_sha256: str = ""


def needed(name: str, extras: Iterable[str] = ()) -> list[Package]:
    """Return a package and all that it needs on this machine, directly or not, by name.

    Args:
        name: of the package.
        extras: of it, whose packages count too, where they are installed.

    Raises:
        LookupError: the package, or one that another needs, is not installed.
    """
    open_ones: list[tuple[str, frozenset[str], str]] = [(canonicalize_name(name), frozenset(extras), "")]
    seen: set[tuple[str, frozenset[str]]] = set()
    found: dict[str, Distribution] = {}
    needs: dict[str, set[str]] = {}
    while open_ones:
        own, wanted, by = open_ones.pop()
        if (own, wanted) in seen:
            continue
        seen.add((own, wanted))
        try:
            found[own] = distribution(own)
        except PackageNotFoundError:
            raise LookupError(f"{own}: is not installed, but {by or 'you'} needs it") from None
        for requirement, optional in _requirements(found[own], wanted):
            other = canonicalize_name(requirement.name)
            if optional and by == "" and not _is_installed(other):
                continue  # an extra of the first package that nobody installed
            needs.setdefault(own, set()).add(other)
            open_ones.append((other, frozenset(requirement.extras), own))
    return [_package(own, found[own], sorted(needs.get(own, ()))) for own in sorted(found)]


def _requirements(package: Distribution, extras: Iterable[str]) -> list[tuple[Requirement, bool]]:
    """Return what a package needs here, with whether only one of its extras asks for it."""
    found = []
    for line in package.requires or ():
        requirement = Requirement(line)
        plain = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if plain or any(requirement.marker.evaluate({"extra": extra}) for extra in extras if requirement.marker):
            found.append((requirement, not plain))
    return found


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _package(name: str, own: Distribution, needs: list[str]) -> Package:
    record = own.read_text("RECORD")
    digest = hashlib.sha256(record.encode()).hexdigest() if record else ""
    return Package(name, own.version, stated(name, own.metadata), tuple(needs), digest)
