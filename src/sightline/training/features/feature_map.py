"""From images to normalised features, and the files that hold all of that way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sightline.data.structures import FLOAT32, UINT8
from sightline.system.files import write_json
from sightline.training.features.base import Extractor, MapShape, Vectors
from sightline.training.features.pooling import normalised
from sightline.training.features.settings import FORMAT_VERSION, SETTINGS, Settings
from sightline.training.features.views import Viewer


class FeatureMap:
    """An extractor with what comes before and after it.

    Args:
        settings: all values.
        extractor: made by them.
    """

    def __init__(self, settings: Settings, extractor: Extractor) -> None:
        self.settings, self.extractor = settings, extractor
        self._viewer = Viewer(settings.views, settings.seed)

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Number of features of each layer, by its name."""
        return self.extractor.dimensions

    @property
    def maps(self) -> Mapping[str, MapShape]:
        """Channels, height and width of the layers with features of single places, by their names."""
        whole = self.settings.views != "one" or self.settings.normalize
        return {} if whole else self.extractor.maps

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x D float32 of each layer: the mean over views, normalised."""
        sums: dict[str, FLOAT32] = {}
        count = 0
        for view in self._viewer(images):
            count += 1
            found = self.extractor(view)
            sums = {name: sums[name] + own for name, own in found.items()} if sums else found
        means = {name: total / np.float32(count) if count > 1 else total for name, total in sums.items()}
        return {name: normalised(own, self.settings.normalize) for name, own in means.items()}

    def write(self, folder: Path) -> dict[str, str]:
        """Write settings and files into an existing folder; return the hash of each file by its name."""
        self.extractor.write(folder)
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
        values = self.settings.to_json()
        write_json(
            folder / SETTINGS,
            {"format_version": FORMAT_VERSION, **values, "layers": dict(self.dimensions), "files": files},
        )
        return {**files, SETTINGS: hashlib.sha256((folder / SETTINGS).read_bytes()).hexdigest()}
