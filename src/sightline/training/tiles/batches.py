"""Batches of tiles, which are drawn anew in each epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sightline.data.vary.augmentation import Augmenter
from sightline.data.vary.geometry import as_tensors
from sightline.data.vary.tile_draws import DrawnTiles
from sightline.training.batch import Batch
from sightline.training.batches import Batches
from sightline.training.mixing import Mixer


class TileBatches(Batches):
    """Makes whole batches of tiles.

    Args:
        tiles: of a split.
        augment: as in `Batches`.
        fields: names of the annotations that are targets.
        mixer: as in `Batches`.
    """

    def __init__(
        self, tiles: DrawnTiles, augment: Augmenter | None, fields: Sequence[str], mixer: Mixer | None
    ) -> None:
        none = np.zeros((0, tiles.side, tiles.side, 1), np.uint8)  # tiles are cut when they are asked for
        super().__init__(none, {}, tiles.ids, augment, None, fields, mixer)
        self.tiles = tiles

    def __getitems__(self, drawn: list[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        pairs = [self.tiles.draw(epoch, index) for epoch, index in drawn]
        if self.augment is not None:
            pairs = [
                self.augment.with_geometry(pixels, geometry, epoch, self.ids[index])
                for (pixels, geometry), (epoch, index) in zip(pairs, drawn, strict=True)
            ]
        images, geometries = np.stack([pixels for pixels, _ in pairs]), [geometry for _, geometry in pairs]
        if self.mixer is not None:
            images, geometries = self.mixer.drawn(images, geometries, drawn[0][0], self.ids[drawn[0][1]])
        return Batch(torch.from_numpy(images), as_tensors(geometries, self.fields), drawn[0][0])
