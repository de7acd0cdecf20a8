"""`sightline init`: a new project, and bringing its pipeline up to date with the installed version."""

from __future__ import annotations

import difflib
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from sightline.system.errors import UserError


def init(
    folder: Annotated[Path, typer.Argument(help="the project's folder, created if it is missing")] = Path(),
    update: Annotated[bool, typer.Option("--update", help="update the pipeline files of an existing project")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="with --update: replace changed files without asking")] = False,
) -> None:
    """Make a project: params.yaml, dvc.yaml and its stages, a Makefile, folders for data. Nothing is overwritten."""
    from sightline.commands.skeleton import skeleton

    files = skeleton()
    if update:
        _update(folder, files, yes)
        return
    written, kept = make_project(folder, files)
    print(f"{folder}: wrote {written} files" + (f"; kept your {', '.join(sorted(kept))}" if kept else ""))
    here = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    print(f"Next: {here}sightline start FOLDER, with a folder of images; or write params.yaml by hand; then: dvc repro")


def make_project(folder: Path, files: Mapping[str, bytes]) -> tuple[int, list[str]]:
    """Make a folder a project; return the number of files that were written, and the paths of those that were there.

    If it is inside another git repository it becomes a part of that, and a line says so.

    Args:
        folder: created if it is missing.
        files: of a project, by their paths in it.

    Raises:
        UserError: it is a project already, or a file.
    """
    for name in ("dvc.yaml", "params.yaml"):
        if (folder / name).exists():
            raise UserError(f"{folder / name}: exists already; `sightline init {folder} --update` updates a project")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder")
    kept = [name for name in files if (folder / name).exists()]
    # params.yaml and dvc.yaml come last: without them a folder that was left half written can be begun again.
    order = sorted(files.keys() - set(kept), key=lambda name: (name in ("dvc.yaml", "params.yaml"), name))
    for name in order:
        _write(folder / name, files[name])
    _finish(folder)
    if (around := _repository(folder)) not in (None, folder.resolve()):
        print(f"note: {folder} is inside the git repository {around}; for a separate one, use a folder outside")
    return len(order), kept


def _update(folder: Path, files: Mapping[str, bytes], yes: bool) -> None:
    from sightline.commands.requirement import direct_url, requirement
    from sightline.commands.skeleton import REQUIREMENTS, is_theirs

    if not (folder / "params.yaml").is_file():
        raise UserError(f"{folder}: not a project (params.yaml is missing); `sightline init {folder}` creates one")
    changed = 0
    for name, content in files.items():
        path = folder / name
        if is_theirs(name) and path.exists():
            continue
        if not path.exists():
            _write(path, content)
            print(f"{path}: new")
        elif path.read_bytes() != content:
            changed += 1
            _show_difference(path, content)
            if yes or (sys.stdin.isatty() and typer.confirm(f"replace {path}?")):
                _write(path, content)
                print(f"{path}: replaced")
            else:
                print(f"{path}: not changed" + ("" if sys.stdin.isatty() else "; --yes replaces it"))
    _finish(folder)
    if (own := requirement(direct_url())) not in (folder / REQUIREMENTS).read_text("utf-8").splitlines():
        print(f"{folder / REQUIREMENTS}: yours, so it stays; what is installed here is {own}")
    if not changed:
        print(f"{folder}: everything is up to date")


def _show_difference(path: Path, content: bytes) -> None:
    old, new = (text.decode("utf-8", "replace").splitlines(keepends=True) for text in (path.read_bytes(), content))
    print("".join(difflib.unified_diff(old, new, str(path), f"{path} (this version)")))


def _write(path: Path, content: bytes) -> None:
    from sightline.system.files import new_file

    with new_file(path) as work:
        work.write_bytes(content)


def _finish(folder: Path) -> None:
    """Write what follows from params.yaml, and make the folder a git repository, which DVC needs."""
    from sightline.config import load_params
    from sightline.pipeline.dag import write_dag

    write_dag(folder, load_params(folder / "params.yaml", policies=False))
    (folder / "data/raw").mkdir(parents=True, exist_ok=True)
    if _repository(folder) is None:
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)


def _repository(folder: Path) -> Path | None:
    """Return the folder of the git repository that a folder is in."""
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else Path(done.stdout.rstrip("\n")).resolve()
