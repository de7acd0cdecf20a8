"""The order of samples and the variants of images depend on (seed, epoch, sample) and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.vary.augmentation import Augmenter
from sightline.training.sampling import EpochSampler


def drawn(sampler: EpochSampler) -> list[int]:
    return [index for batch in sampler for _, index in batch]


@given(count=st.integers(2, 200), batch=st.integers(2, 40), epoch=st.integers(0, 5))
def test_every_sample_once_and_none_alone(count: int, batch: int, epoch: int) -> None:
    sampler = EpochSampler(count, batch, 0, lambda: epoch)
    batches = list(sampler)
    assert sorted(drawn(sampler)) == list(range(count))
    assert len(batches) == len(sampler)
    assert all(2 <= len(own) <= batch + 1 for own in batches)


@given(count=st.integers(4, 100), batch=st.integers(2, 8), world=st.integers(2, 4))
def test_processes_share_an_epoch_in_equal_steps(count: int, batch: int, world: int) -> None:
    samplers = [EpochSampler(count, batch, 0, lambda: 3, rank, world) for rank in range(world)]
    assert len({len(sampler) for sampler in samplers}) == 1
    together = [index for sampler in samplers for index in drawn(sampler)]
    assert sorted(together) == list(range(count))


def test_batches_of_several_processes_are_those_of_one() -> None:
    alone = [{index for _, index in batch} for batch in EpochSampler(64, 8, 0, lambda: 1)]
    shares = [list(EpochSampler(64, 4, 0, lambda: 1, rank, 2)) for rank in range(2)]
    assert [{index for part in parts for _, index in part} for parts in zip(*shares, strict=True)] == alone


def test_balanced_batches_hold_each_class_equally() -> None:
    classes = np.array([0] * 70 + [1] * 20 + [2] * 6)
    sampler = EpochSampler(96, 12, 0, lambda: 0, classes=classes)
    batches = [[index for _, index in batch] for batch in sampler]
    assert sum(map(len, batches)) == 96
    for batch in batches:
        assert np.bincount(classes[batch]).tolist() == [4, 4, 4]
    rare = np.bincount([index for batch in batches for index in batch], minlength=96)[90:]
    assert rare.min() >= 5
    assert rare.max() - rare.min() <= 1, "drawn in turn, not at random with replacement"
    assert drawn(EpochSampler(96, 12, 0, lambda: 1, classes=classes)) != [i for batch in batches for i in batch]


def test_order_changes_with_epoch_and_seed_only() -> None:
    def order(seed: int, epoch: int, batch: int = 8) -> list[int]:
        return drawn(EpochSampler(64, batch, seed, lambda: epoch))

    assert order(1, 0) == order(1, 0) == order(1, 0, batch=4)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_variants_are_a_function_of_seed_epoch_and_sample(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 32, channels), dtype=np.uint8)
    first = Augmenter("light", seed=1)
    variant = first(image, 0, "a")
    first(image, 5, "b")  # what came between does not matter
    assert variant.shape == image.shape
    assert variant.dtype == np.uint8
    np.testing.assert_array_equal(first(image, 0, "a"), variant)
    np.testing.assert_array_equal(Augmenter("light", seed=1)(image, 0, "a"), variant)
    others = [first(image, 1, "a"), first(image, 0, "b"), Augmenter("light", seed=2)(image, 0, "a")]
    assert all(not np.array_equal(variant, other) for other in others)


def test_transforms_draw_independently() -> None:
    """A shared seed would make the shift and the light of every variant rise and fall together."""
    image = np.full((32, 32, 1), 100, np.uint8)
    image[8:24, 8:24] = 200
    augment = Augmenter("light", seed=0)
    variants = np.stack([augment(image, 0, str(i)) for i in range(400)]).astype(float)
    brightness = variants[:, 12:20, 12:20].mean((1, 2, 3))
    columns = (variants * np.arange(32)[None, None, :, None]).sum((1, 2, 3)) / variants.sum((1, 2, 3))
    assert abs(np.corrcoef(brightness, columns)[0, 1]) < 0.2
