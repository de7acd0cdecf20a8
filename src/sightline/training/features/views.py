"""Several looks at an image, over which its features are averaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import assert_never

import numpy as np

from sightline.config.features import Copies, Views
from sightline.data.structures import UINT8


class Viewer:
    """Makes the views of images.

    Args:
        views: `one`: the image itself; `tencrop`: corners, centre and their mirror images (Krizhevsky et al. 2012,
            section 4.1); or copies changed at random, where what is drawn depends on seed, copy and the pixels alone.
        seed: of the copies.
    """

    def __init__(self, views: Views, seed: int) -> None:
        self.views = views
        if isinstance(views, Copies):
            from sightline.data.vary.augmentation import Augmenter

            self._augment = Augmenter(views.policy, seed)

    def __call__(self, images: UINT8) -> Iterator[UINT8]:
        """N x S x S x C -> each view of all of them in turn, N x S x S x C."""
        match self.views:
            case "one":
                yield images
            case "tencrop":
                from sightline.data.vary.policies import ten_crops

                crops = np.stack([ten_crops(image) for image in images], axis=1)
                yield from (np.ascontiguousarray(view) for view in crops)
            case Copies(copies=count):
                names = [hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() for image in images]
                for copy in range(count):
                    pairs = zip(images, names, strict=True)
                    yield np.stack([self._augment(image, copy, name) for image, name in pairs])
            case _:
                assert_never(self.views)
