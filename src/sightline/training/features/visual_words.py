"""Bags of visual words: an image as a histogram of its SIFT descriptors' nearest clusters (Csurka et al. 2004)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from sightline.data.structures import FLOAT32, UINT8
from sightline.system.errors import UserError
from sightline.training.features.base import Extractor, Vectors

FILE = "vocabulary.safetensors"
_LENGTH = 128  # numbers of a SIFT descriptor (Lowe 2004)


class VisualWords(Extractor):
    """Counts of visual words, a share of the image's descriptors each.

    Args:
        size: height and width of the images, pixels.
        words: number of clusters.
        sampling: `dense` describes a grid of places, `keypoints` those that SIFT finds.
        step: pixels between places of the grid.
        patch: diameter of a place of the grid, pixels.
        weighting: `tf_idf` multiplies each share with log(train images / train images that have the word).
        descriptors: how many are drawn for the clusters.
    """

    def __init__(
        self,
        size: int,
        words: int,
        sampling: Literal["dense", "keypoints"],
        step: int,
        patch: int,
        weighting: Literal["tf", "tf_idf"],
        descriptors: int,
    ) -> None:
        self.words, self.sampling, self.weighting, self.descriptors = words, sampling, weighting, descriptors
        self.sift = cv2.SIFT.create()
        places = np.arange(step / 2, size, step)
        self.places = [cv2.KeyPoint(float(x), float(y), float(patch)) for y in places for x in places]
        self.centres: FLOAT32 = np.zeros((0, _LENGTH), np.float32)
        self.importance: FLOAT32 = np.ones(words, np.float32)
        self.dimensions = {"visual_words": words}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x words; zeros for an image without any descriptor."""
        return {"visual_words": np.stack([self._shares(self._describe(image)) for image in images]) * self.importance}

    def fit(self, batches: Callable[[], Iterator[UINT8]], count: int, seed: int) -> None:
        """Find clusters among descriptors drawn evenly from the images, and how many images have each word."""
        from sklearn.cluster import MiniBatchKMeans

        random = np.random.Generator(np.random.Philox(key=[seed, 0]))
        per_image = max(1, -(-self.descriptors // count))
        drawn = []
        for images in batches():
            for image in images:
                found = self._describe(image)
                drawn.append(found[random.permutation(len(found))[:per_image]])
        sample = np.concatenate(drawn)[: self.descriptors]
        if len(sample) < self.words:
            raise UserError(
                f"extractor.words: {self.words}: only {len(sample)} descriptors in the train split; "
                "ask for fewer words, or set extractor.sampling: dense"
            )
        means = MiniBatchKMeans(self.words, random_state=seed, n_init=1, batch_size=4096).fit(sample)
        self.centres = means.cluster_centers_.astype(np.float32)
        if self.weighting == "tf_idf":
            having = sum((self._shares(self._describe(image)) > 0 for images in batches() for image in images), 0)
            self.importance = np.log(count / np.maximum(having, 1)).astype(np.float32)

    def write(self, folder: Path) -> None:
        """Write the vocabulary."""
        from safetensors.numpy import save_file

        save_file({"centres": self.centres, "importance": self.importance}, folder / FILE)

    def read(self, folder: Path) -> None:
        """Read the vocabulary that `write` wrote."""
        from safetensors.numpy import load_file

        tensors = load_file(folder / FILE)
        self.centres, self.importance = tensors["centres"], tensors["importance"]

    def _describe(self, image: UINT8) -> FLOAT32:
        """S x S x C uint8 -> M x 128."""
        grey = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        grey = np.ascontiguousarray(grey)
        if self.sampling == "dense":
            found = self.sift.compute(grey, self.places)[1]
        else:
            found = self.sift.detectAndCompute(grey, None)[1]
        return np.zeros((0, _LENGTH), np.float32) if found is None else np.asarray(found, np.float32)

    def _shares(self, descriptors: FLOAT32) -> FLOAT32:
        """M x 128 -> the share of each word; |d - c|^2 is least where d c - |c|^2 / 2 is largest."""
        if not len(descriptors):
            return np.zeros(self.words, np.float32)
        nearness = descriptors @ self.centres.T - 0.5 * (self.centres**2).sum(1)
        counts = np.bincount(nearness.argmax(1), minlength=self.words)
        shares: FLOAT32 = (counts / counts.sum()).astype(np.float32)
        return shares
