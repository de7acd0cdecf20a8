"""Tells DVC that the files of a data set have changed, where it tracks them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sightline.system.errors import UserError


def update_pointer(raw: Path, root: Path) -> bool:
    """Let DVC note the present files of the raw folder `raw`; return whether it tracks them, by a `.dvc` file next to.

    Args:
        raw: folder of the raw files.
        root: of the project.

    Raises:
        UserError: DVC says why it could not.
    """
    file = raw.parent / f"{raw.name}.dvc"
    if not file.is_file():
        return False
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "add", "--quiet", str(raw)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    if done.returncode != 0:
        told = " ".join((done.stderr or done.stdout).split())
        raise UserError(f"{file}: `dvc add {raw}` failed: {told}; fix that and run `sightline ingest` again")
    return True
