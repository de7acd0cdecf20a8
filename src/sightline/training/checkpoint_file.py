"""Checkpoints that are whole or not there: a full disk leaves the one of the epoch before, to go on from."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from sightline.system.files import new_file


class WholeCheckpoints(TorchCheckpointIO):
    """Writes as Lightning does, by way of memory, but into a file that then takes the place of the one before.

    Lightning's goes by way of the system's folder for temporary files, and from there it is copied over the old
    one where that folder is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            DiskError: the disk is full.
        """
        content = BytesIO()
        torch.save(checkpoint, content)
        with new_file(Path(path)) as work:
            work.write_bytes(content.getbuffer())
