"""How images are brought to the size of an input."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.cache import decoded, raw_pixels
from sightline.data.images import PAD_VALUE, Resize, fit
from sightline.data.store import SplitStore

NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [30, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_a_word_it_is_what_it_always_was(size: int, channels: int) -> None:
    image = NOISE[..., :channels]
    expected = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if size < 90 else cv2.INTER_LINEAR)
    for word in (None, "area"):
        np.testing.assert_array_equal(fit(image, size, "stretch", word), expected.reshape(size, size, channels))


@pytest.mark.parametrize("size", [30, 200])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("word", "method"), [("bilinear", 2), ("bicubic", 3)])
def test_with_a_word_it_is_what_the_weights_were_trained_with(size: int, channels: int, word: Any, method: int) -> None:
    """torchvision's transforms of files, and timm's, resize Pillow's images; of tensors, with the same antialiasing."""
    image = NOISE[..., :channels] // 2 + 64  # Pillow also cuts off what overshoots between the two directions
    own = fit(image, size, "stretch", word)
    flat = Image.fromarray(image[..., 0] if channels == 1 else image).resize((size, size), Image.Resampling(method))
    np.testing.assert_array_equal(own, np.asarray(flat).reshape(size, size, channels))
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(tensor, (size, size), mode=word, antialias=True)[0].permute(1, 2, 0)
    assert np.abs(own - theirs.numpy()).max() < 1.51  # and rounds


@pytest.mark.parametrize("word", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "window"), [("crop", np.s_[:, 15:105]), ("letterbox", np.s_[:, :])])
def test_cut_and_padding_are_the_same(word: Any, resize: Resize, window: Any) -> None:
    own = fit(NOISE, 60, resize, word)
    if resize == "letterbox":
        assert (own[:7] == PAD_VALUE).all()
        assert (own[-7:] == PAD_VALUE).all()
        own = own[7:52]
    cut = np.ascontiguousarray(NOISE[window])
    shape = (60, 60) if resize == "crop" else (60, 45)
    expected = np.asarray(Image.fromarray(cut).resize(shape, getattr(Image.Resampling, word.upper())))
    np.testing.assert_array_equal(own, expected)
    size = NOISE[:60, :60]
    np.testing.assert_array_equal(fit(size, 60, resize, word), size)


def test_each_way_has_a_cache_of_its_own(digits: Path, tmp_path: Path) -> None:
    store = SplitStore(digits / "val")
    images = [store.image(index) for index in range(len(store))]
    for word in (None, "area", "bilinear", "bicubic"):
        cached = raw_pixels(store, 20, 1, "letterbox", tmp_path, interpolation=word)  # type: ignore[arg-type]
        np.testing.assert_array_equal(cached, decoded(images, 20, 1, "letterbox", word)[0])  # type: ignore[arg-type]
    assert sorted(path.name.partition("-")[2] for path in tmp_path.glob("*.npy")) == [
        "20-1-letterbox-bicubic.npy",
        "20-1-letterbox-bilinear.npy",
        "20-1-letterbox.npy",
    ]
