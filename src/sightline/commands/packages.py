"""Command `packages`: the packages that Sightline runs on, their licences, and a list of software."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sightline.system.packages.vulnerabilities import Audit

_EXTRAS = ("postgres", "s3")  # what runs; not what only tests and documentation need


def packages(
    sbom: Annotated[
        Path | None, typer.Option(help="file for the list of software, CycloneDX 1.6; one of each model is in MLflow")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="show every package, not only those to know of")] = False,
    audit: Annotated[
        Path | None, typer.Option(help="what `pip-audit --format json` wrote; without it vulnerabilities are not shown")
    ] = None,
) -> None:
    """Show the licences of all packages that run here; ends with code 2 for strong copyleft or unknown ones."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    from sightline.system.errors import UserError
    from sightline.system.files import new_file
    from sightline.system.packages.installed import needed
    from sightline.system.packages.licences import KINDS, REFUSED, kind_of
    from sightline.system.packages.sbom import sbom_of_installation
    from sightline.system.packages.vulnerabilities import read_audit

    known = read_audit(audit) if audit is not None else None
    found = needed("sightline", _EXTRAS)
    kinds = {package.name: kind_of(package.licence) for package in found}
    table = Table(box=None)
    for column in ("package", "version", "licence", "kind"):
        table.add_column(column)
    for package in found:
        if every or kinds[package.name] != "permissive":
            table.add_row(package.name, package.version, package.licence or "not stated", kinds[package.name])
    Console().print(table)
    counts = Counter(kinds.values())
    print(f"{len(found)} packages: " + ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]))
    if sbom is not None:
        sbom.parent.mkdir(parents=True, exist_ok=True)
        with new_file(sbom) as work:
            work.write_text(sbom_of_installation(found), encoding="utf-8")
        print(f"{sbom}: list of software, CycloneDX 1.6")
    wrong = [
        f"{package.name} {package.version}: {package.licence or 'no licence stated'}: {kinds[package.name]}; a product "
        "cannot be built on it: replace it, or add to _KNOWN in system/packages/licences.py what its licence file says"
        for package in found
        if kinds[package.name] in REFUSED
    ]
    if known is not None:
        print(f"vulnerabilities: {_told(known)}")
        wrong += [
            f"{name} {version}: {', '.join(bugs)}: vulnerable; update it in requirements.lock"
            for name, version, bugs in known.found
        ]
    if wrong:
        raise UserError(wrong)


def _told(audit: Audit) -> str:
    if not audit.looked_up:
        return "nothing could be looked up, pip-audit did not reach its data"
    left = f"; {len(audit.skipped)} could not be looked up: {', '.join(audit.skipped)}" if audit.skipped else ""
    return f"{len(audit.found)} of {audit.looked_up} packages that were looked up are vulnerable{left}"
