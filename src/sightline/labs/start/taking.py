"""Brings a folder of images into a project: as it is, as a copy or as a link, and under DVC's versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress

from sightline.system.errors import UserError
from sightline.system.files import new_folder

Way = Literal["auto", "copy", "link", "in-place"]
RAW = Path("data/raw")
_COPIED = 4 << 30  # bytes up to which a folder is copied without being asked for
_ROOM = 3  # times its size that must be free, as DVC's cache takes a copy too


def chosen_way(folder: Path, project: Path, way: Way) -> Way:
    """Return how a folder is taken in: where it is inside the project, else as a copy if there is room, else as a link.

    Args:
        folder: of the images.
        project: folder of the project.
        way: what the user says.
    """
    if way != "auto":
        return way
    if folder.resolve().is_relative_to(project.resolve()):
        return "in-place"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return "copy" if size <= _COPIED and _ROOM * size < shutil.disk_usage(project).free else "link"


def destination(folder: Path, project: Path, name: str, way: Way) -> Path:
    """Return where the images will be, relative to the project if they are in it."""
    if way == "in-place":
        inside = folder.resolve().is_relative_to(project.resolve())
        return folder.resolve().relative_to(project.resolve()) if inside else folder.resolve()
    return RAW / name


def take_in(folder: Path, project: Path, target: Path, way: Way) -> bool:
    """Copy or link a folder to where it will be, all of it or nothing; return whether it was not there before.

    Raises:
        UserError: something else is there already.
    """
    if way == "in-place":
        return False
    place = project / target
    if place.is_symlink() or place.exists():
        if place.resolve() == folder.resolve() or _contents(place) == _contents(folder):
            return False
        raise UserError(
            f"{place}: exists already; remove it, choose another name with --name, or use --data in-place with it"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    if way == "link":
        place.symlink_to(folder.resolve(), target_is_directory=True)
        return True
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    console = Console(stderr=True)
    with new_folder(place) as work, Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        for path in bars.track(files, description="copying"):
            copy = work / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)  # not its permissions: what was read-only there need not be here
    return True


def _contents(folder: Path) -> dict[str, int]:
    """Return the size of each file below a folder, by its path."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def give_back(project: Path, target: Path) -> None:
    """Remove what `take_in` made."""
    place = project / target
    if place.is_symlink():
        place.unlink()
    else:
        shutil.rmtree(place)


def track(project: Path, target: Path) -> str:
    """Let DVC keep the versions of the images, where it can; return a line that says so, or why not."""
    place = project / target
    pointer = f"{target}.dvc"
    if place.is_symlink() or not place.resolve().is_relative_to(project.resolve()):
        return f"{target}: is outside the project, so DVC notes its hash but keeps no versions of it"
    ignored = (
        subprocess.run(["git", "-C", str(project), "check-ignore", "--quiet", pointer], check=False).returncode == 0
    )
    if ignored:
        return f"{target}: ignored by git, so DVC notes its hash but keeps no versions of it"
    command = [sys.executable, "-m", "dvc", "add", "--quiet", str(target)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=project)
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split())
        return f"{target}: `dvc add` failed ({told}); DVC notes its hash but keeps no versions of it"
    return f"{target}: version kept by DVC; commit {pointer}"
