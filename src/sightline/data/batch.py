"""A batch of images with their targets, as the loader makes it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Batch:
    """Images of one size with their targets.

    Attributes:
        images: N x H x W x C uint8.
        targets: by name of the sample's field, e.g. `label`: N int64.
        epoch: the epoch it was drawn for, -1 outside training.
    """

    images: Tensor
    targets: dict[str, Tensor]
    epoch: int = -1

    def pin_memory(self) -> Batch:
        """Copy into page-locked memory; called by the loader's pinning thread."""
        return Batch(self.images.pin_memory(), {k: v.pin_memory() for k, v in self.targets.items()}, self.epoch)
