"""The files of a new project: those of this repository, and those that only a user's project has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.commands.requirement import direct_url, requirements
from sightline.system.errors import UserError

# Target in a project -> source in the repository; the wheel holds the same files (pyproject.toml, force-include).
SOURCES = {
    "dvc.yaml": "dvc.yaml",
    "pipelines": "pipelines",
    "prefect.yaml": "prefect.yaml",
    ".dvcignore": ".dvcignore",
    ".dvc/config": ".dvc/config",
    ".dvc/.gitignore": ".dvc/.gitignore",
    "data/augmented/README.md": "data/augmented/README.md",
    "data/embedded/README.md": "data/embedded/README.md",
    "data/slices/README.md": "data/slices/README.md",
    "data/weights/README.md": "data/weights/README.md",
    "Makefile": "skeleton/Makefile",
    "README.md": "skeleton/README.md",
    "params.yaml": "skeleton/params.yaml",
    ".gitignore": "skeleton/gitignore",
    ".github/workflows/sightline.yml": "skeleton/.github/workflows/sightline.yml",
    ".gitlab-ci.yml": "skeleton/.gitlab-ci.yml",
}
REQUIREMENTS = "requirements.txt"
# What `sightline init --update` leaves alone: it is the user's from the first day.
THEIRS = ("params.yaml", "README.md", ".dvc/config", "data/", REQUIREMENTS)


def skeleton() -> dict[str, bytes]:
    """Return the files of a new project by their paths in it.

    Raises:
        UserError: the installation lacks them.
    """
    packed = Path(__file__).parents[1] / "skeleton"
    repository = Path(__file__).parents[3]
    found = dict(
        _files(packed, {target: target for target in SOURCES}) if packed.is_dir() else _files(repository, SOURCES)
    )
    found[REQUIREMENTS] = requirements(direct_url()).encode()
    return found


def _files(root: Path, sources: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    for target, source in sources.items():
        path = root / source
        if path.is_file():
            yield target, path.read_bytes()
        elif path.is_dir():
            for file in sorted(path.glob("*.py")):
                yield f"{target}/{file.name}", file.read_bytes()
        else:
            raise UserError(f"{path}: missing from this installation of sightline; install it again")


def is_theirs(path: str) -> bool:
    """Return whether a file of a project belongs to its user alone."""
    return path.startswith(THEIRS)
