"""The inbox: new files of a data set, copied as they are now, and removed once they have been taken."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from sightline.data.raw.formats.source import visible_files
from sightline.system.files import read_json, write_json

INBOX = Path("data/inbox")
QUARANTINE = INBOX / "quarantine"


@dataclass(frozen=True)
class Delivered:
    """A file as it was copied: hash of its bytes, and size and time by which a later change is seen."""

    sha256: str
    size: int
    modified: int


def copy_inbox(inbox: Path, folder: Path) -> dict[str, Delivered]:
    """Copy the visible files below `inbox` to `folder`; return them by their paths.

    Hidden files and folders are left alone, so a copy in progress is best made under a name that begins with a dot.
    """
    files = {}
    for path in visible_files(inbox):
        state = (inbox / path).stat()
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(inbox / path, target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[path] = Delivered(digest, state.st_size, state.st_mtime_ns)
    return files


def content_hash(files: Mapping[str, Delivered]) -> str:
    """Return 8 hexadecimal digits that name these files, by their paths and bytes."""
    joined = "\n".join(f"{path}\0{file.sha256}" for path, file in sorted(files.items()))
    return hashlib.sha256(os.fsencode(joined)).hexdigest()[:8]


def empty_inbox(inbox: Path, files: Mapping[str, Delivered]) -> None:
    """Remove the files that were copied and have not changed since, and the folders that this leaves empty.

    The list of what is to be removed is written first, so that a killed run can be completed: a delivery of which a
    part is gone would look like another one.
    """
    write_json(_taken(inbox), {path: asdict(file) for path, file in files.items()})
    complete_emptying(inbox)


def complete_emptying(inbox: Path) -> None:
    """Remove what the last run has taken, if it was killed before it could."""
    if not _taken(inbox).is_file():
        return
    for path, values in read_json(_taken(inbox)).items():
        with suppress(FileNotFoundError):
            state = (inbox / path).stat()
            if (state.st_size, state.st_mtime_ns) == (values["size"], values["modified"]):
                _linked(inbox, path).unlink()
    for folder in sorted((path for path in inbox.rglob("*") if path.is_dir()), reverse=True):
        if not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    _taken(inbox).unlink()


def _linked(inbox: Path, path: str) -> Path:
    """Return what may be removed for a file: the link by which its folder is in the inbox, else the file itself."""
    above = [inbox / parent for parent in PurePosixPath(path).parents if parent.name]
    links = [folder for folder in above if folder.is_symlink()]
    return links[-1] if links else inbox / path


def _taken(inbox: Path) -> Path:
    return inbox.parent / f".{inbox.name}.taken.json"
