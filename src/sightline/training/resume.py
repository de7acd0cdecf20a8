"""Where a killed training is taken up again: only by exactly the same training."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESUME = Path(".sightline/resume")
MID_EPOCH = "mid_epoch"  # the name of a checkpoint within an epoch, and of what it holds besides
LIBRARIES = ("torch", "torchvision", "timm", "pytorch-lightning", "albumentations", "numpy", "opencv-python-headless")


def resume_folder(settings: dict[str, Any], root: Path = RESUME) -> Path:
    """Return the folder for checkpoints of a training with these settings, this code and these libraries.

    Args:
        settings: everything that decides the result, as plain values: configuration, seed, hashes of data and weights.
        root: parent of all such folders; outside DVC, which deletes a stage's outputs before it runs.
    """
    whole = {**settings, "code": code_hash(), "libraries": {name: version(name) for name in LIBRARIES}}
    return root / hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


@cache
def code_hash() -> str:
    """Return a hash of every Python file of this package, as they are when it is first asked for."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def usable_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint that is farthest on, of the end of an epoch or within one, if any can be read."""
    steps = {path: _steps_of(path) for path in (folder / "last.ckpt", folder / f"{MID_EPOCH}.ckpt")}
    path = max(steps, key=lambda one: steps[one])  # of equal ones the first
    return path if steps[path] >= 0 else None


def _steps_of(path: Path) -> int:
    """Return after how many steps a checkpoint was written, -1 for none that can be read."""
    import torch

    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except Exception:  # absent, or half written by a killed process: training starts again
        return -1


def file_hash(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
