"""Random variants of training images, each a function of (seed, epoch, sample) alone."""

from __future__ import annotations

import hashlib
import random
from typing import Literal, assert_never

import albumentations as A  # noqa: N812
import numpy as np

from sightline.structures import UINT8

Policy = Literal["none", "light"]


def key(*parts: int | str) -> int:
    """Return 64 bits that depend on all parts, the same on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def build_policy(policy: Policy, channels: int) -> A.Compose | None:
    """Return the transforms of a policy, or None for no change.

    `light` moves, scales, turns and lights an image a little; it never mirrors, so digits and text stay what they are.
    """
    match policy:
        case "none":
            return None
        case "light":
            grey = 114 if channels == 1 else (114, 114, 114)
            return A.Compose(
                [
                    A.Affine(translate_percent=(-0.08, 0.08), scale=(0.9, 1.1), rotate=(-10, 10), fill=grey, p=0.9),
                    A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=0.5),
                ]
            )
        case _:
            assert_never(policy)


class Augmenter:
    """Applies a policy; not to be shared between threads."""

    def __init__(self, policy: Policy, channels: int, seed: int) -> None:
        self.transform = build_policy(policy, channels)
        self.seed = seed

    def __call__(self, image: UINT8, epoch: int, sample: str) -> UINT8:
        """H x W x C uint8 -> the same shape, changed as drawn for this sample in this epoch."""
        if self.transform is None:
            return image
        stream = key(self.seed, "augment", epoch, sample)
        # Compose.set_random_seed would give every transform the same draws; a state is passed on properly.
        generator = np.random.Generator(np.random.Philox(key=[stream, 0]))
        self.transform.set_random_state(generator, random.Random(stream))
        changed: UINT8 = self.transform(image=image)["image"]
        return changed.reshape(image.shape)
