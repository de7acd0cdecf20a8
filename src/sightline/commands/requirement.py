"""The line by which a project's requirements.txt gets the Sightline that made it."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution

from sightline.system.version import VERSION

_KNOWN = "# Where Sightline came from when this project was made; `make setup` and CI install the same."
_LOCAL = """\
# A path of this machine. For CI and other machines, name a place that they reach:
# sightline @ git+https://HOST/PATH@COMMIT"""
_UNKNOWN = """\
# If your package index does not have Sightline, name its wheel or repository here:
# sightline @ git+https://HOST/PATH@COMMIT"""


def requirements(direct_url: str | None) -> str:
    """Return requirements.txt of a new project.

    Args:
        direct_url: what the installer noted, see `direct_url`.
    """
    line = requirement(direct_url)
    comment = _UNKNOWN if "@" not in line else _LOCAL if "file://" in line else _KNOWN
    return f"{comment}\n{line}\n"


def requirement(direct_url: str | None) -> str:
    """Return the requirement that installs the same package again.

    An editable checkout is named like any other folder: a project gets a copy of it, which does not change unnoticed.

    Args:
        direct_url: what the installer noted, see `direct_url`.
    """
    if direct_url is None:
        return f"sightline=={VERSION}"
    noted = json.loads(direct_url)
    url, vcs, inner = noted["url"], noted.get("vcs_info"), noted.get("subdirectory")
    if vcs:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"sightline @ {url}" + (f"#subdirectory={inner}" if inner else "")


def direct_url() -> str | None:
    """Return where an installer had the package from, as JSON (PEP 610); None if from an index, or not installed."""
    try:
        return distribution("sightline").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
