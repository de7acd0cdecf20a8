"""A batch of images with their targets, as the loader makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass
class Batch:
    """Images of one size with their targets.

    Attributes:
        images: N x H x W x C uint8.
        targets: by name of the sample's field, e.g. `label`: N int64, `boxes`: N tensors n x 4.
        epoch: the epoch it was drawn for, -1 outside training.
    """

    images: Tensor
    targets: dict[str, Any]
    epoch: int = -1

    def pin_memory(self) -> Batch:
        """Copy into page-locked memory; called by the loader's pinning thread."""
        pinned = {
            name: [one.pin_memory() for one in value] if isinstance(value, list) else value.pin_memory()
            for name, value in self.targets.items()
        }
        return Batch(self.images.pin_memory(), pinned, self.epoch)
