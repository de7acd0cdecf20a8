"""Tells DVC that the files of a data set have changed, where it tracks them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sightline.system.errors import UserError


def update_pointer(raw: Path, root: Path, added: Path | None = None) -> bool:
    """Let DVC note the present files of the raw folder `raw`; return whether it tracks them, by a `.dvc` file next to.

    Args:
        raw: folder of the raw files.
        root: of the project.
        added: a folder in it that is all that is new: of a large data set, nothing else is looked at.

    Raises:
        UserError: DVC says why it could not.
    """
    file = raw.parent / f"{raw.name}.dvc"
    if not file.is_file():
        return False
    done = None
    if added is not None:
        done = _add(added, root)  # which needs DVC's list of the others; it may be in no cache
    if done is None or done.returncode != 0:
        done = _add(raw, root)
    if done.returncode != 0:
        told = " ".join((done.stderr or done.stdout).split())
        raise UserError(f"{file}: `dvc add {raw}` failed: {told}; fix that and run `sightline ingest` again")
    return True


def _add(place: Path, root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "add", "--quiet", str(place)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
