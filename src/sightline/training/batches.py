"""Samples of the cache as whole batches, changed and mixed as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import Dataset

from sightline.data.structures import UINT8
from sightline.data.vary.augmentation import Augmenter
from sightline.data.vary.geometry import Annotations, Geometry, as_tensors
from sightline.training.batch import Batch
from sightline.training.mixing import Mixer


class Batches(Dataset[Batch]):
    """Makes whole batches at a time, which costs far less than joining single samples.

    Args:
        pixels: N x H x W x C uint8.
        targets: arrays of length N, by name.
        ids: N sample ids, the source of each sample's randomness.
        augment: changes an image for (epoch, id); None leaves images as they are.
        annotations: annotations with positions, changed together with the images; None for tasks of whole images.
        fields: names of the annotations that are targets.
        mixer: mixes the images of a batch; None: no mixing.
        classes: how many there are, into which mixed labels are divided.
    """

    def __init__(
        self,
        pixels: UINT8,
        targets: dict[str, Tensor],
        ids: Sequence[str],
        augment: Augmenter | None = None,
        annotations: Annotations | None = None,
        fields: Sequence[str] = (),
        mixer: Mixer | None = None,
        classes: int = 0,
    ) -> None:
        self.pixels, self.targets, self.ids, self.augment = pixels, targets, ids, augment
        self.annotations, self.fields = annotations, fields
        self.mixer, self.classes = mixer, classes

    def __len__(self) -> int:
        return len(self.ids)

    def __getitems__(self, drawn: list[tuple[int, int]]) -> Batch:
        """Return the batch of (epoch, index) pairs."""
        chosen = np.array([index for _, index in drawn])
        images = self.pixels[chosen]
        rows = torch.from_numpy(chosen)
        targets: dict[str, Any] = {name: values[rows] for name, values in self.targets.items()}
        if self.annotations is not None:
            geometries = self._with_geometry(images, drawn)
            if self.mixer is not None:
                images, geometries = self.mixer.drawn(images, geometries, drawn[0][0], self.ids[drawn[0][1]])
            targets |= as_tensors(geometries, self.fields)
        else:
            if self.augment is not None:
                for place, (epoch, index) in enumerate(drawn):
                    images[place] = self.augment(images[place], epoch, self.ids[index])
            if self.mixer is not None:
                images, targets = self._mixed(self.mixer, images, targets, drawn)
        return Batch(torch.from_numpy(images), targets, drawn[0][0])

    def _mixed(
        self, mixer: Mixer, images: UINT8, targets: dict[str, Tensor], drawn: list[tuple[int, int]]
    ) -> tuple[UINT8, dict[str, Tensor]]:
        """Return mixed images with N x K float32 labels, whichever of `label` and `labels` there is."""
        [name] = [name for name in ("label", "labels") if name in targets]
        own = targets[name]
        whole = own.float() if own.ndim == 2 else one_hot(own, self.classes).float()
        epoch, first = drawn[0]
        images, labels = mixer.labelled(images, whole.numpy(), epoch, self.ids[first])
        return images, {**targets, name: torch.from_numpy(labels)}

    def _with_geometry(self, images: UINT8, drawn: list[tuple[int, int]]) -> list[Geometry]:
        """Return the geometry of each image, both changed together."""
        assert self.annotations is not None
        geometries = []
        for place, (epoch, index) in enumerate(drawn):
            geometry = self.annotations[index]
            if self.augment is not None:
                images[place], geometry = self.augment.with_geometry(images[place], geometry, epoch, self.ids[index])
            geometries.append(geometry)
        return geometries
