"""A disk of two megabytes that is filled and emptied, and the pipeline's scripts run in this process."""

import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from sightline.commands.cli import main

PIPELINES = Path(__file__).parents[2] / "pipelines"


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk in memory of `size`, as `mount` writes it; skips the test where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs the program mount")
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(place: Path, left: int) -> Iterator[None]:
    """Fill a disk so that at most `left` bytes can be written."""
    filler = place / ".filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
            os.truncate(filler, max(0, filler.stat().st_size - left))
        yield
    finally:
        filler.unlink()


@dataclass(frozen=True)
class Done:
    """How a program ended: its exit code, and the lines that it wrote to its standard error."""

    code: int
    errors: list[str]


def run_script(name: str, *arguments: str) -> Done:
    """Run a script of the pipeline as DVC does, but in this process, which has its libraries already."""
    script = str(PIPELINES / f"{name}.py")
    return _run([script, *arguments], lambda: runpy.run_path(script, run_name="__main__"))


def run_command(*arguments: str) -> Done:
    """Run a command of the command line in this process."""
    return _run(["sightline", *arguments], main)


def _run(arguments: list[str], program: Callable[[], object]) -> Done:
    before, errors, code = sys.argv, io.StringIO(), 0
    sys.argv = arguments
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
    return Done(code, errors.getvalue().splitlines())


def content(*places: Path) -> dict[str, bytes]:
    """Return all files at or below some places, without those of `.sightline`, which may be deleted at any time."""
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def half_written(root: Path) -> list[Path]:
    """Return what is in the way of being written."""
    return [path for path in root.rglob(".*") if path.name.endswith((".new", ".old")) or ".new." in path.name]
