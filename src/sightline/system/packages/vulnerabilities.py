"""What pip-audit has found, and what it could not look up: a package that it skips is not thereby safe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.system.errors import UserError
from sightline.system.files import read_json


@dataclass(frozen=True)
class Audit:
    """The result of `pip-audit --format json`.

    Attributes:
        found: package, version and identifiers of each vulnerable package.
        looked_up: number of packages that were looked up.
        skipped: names of those that were not.
    """

    found: tuple[tuple[str, str, tuple[str, ...]], ...]
    looked_up: int
    skipped: tuple[str, ...]


def read_audit(path: Path) -> Audit:
    """Read what pip-audit wrote.

    Raises:
        UserError: the file is not pip-audit's.
    """
    try:
        packages = read_json(path)["dependencies"]
        skipped = tuple(one["name"] for one in packages if "skip_reason" in one)
        found = tuple(
            (one["name"], one["version"], tuple(bug["id"] for bug in one["vulns"]))
            for one in packages
            if one.get("vulns")
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; write it with `pip-audit --format json --output {path}`") from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: is not what `pip-audit --format json` writes") from None
    return Audit(found, len(packages) - len(skipped), skipped)
