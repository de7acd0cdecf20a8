"""Autoencoders: shapes, noise, original pixels, image metrics against slow loops, a whole training."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from sightline.config.models import Model
from sightline.config.tasks.autoencoder import Autoencoder as Config
from sightline.data.images import place
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap
from sightline.evaluation.predictor import load_predictor
from sightline.models.autoencoders import autoencoder_network
from sightline.system.errors import UserError
from sightline.tasks.autoencoder import Autoencoder
from sightline.tasks.base import Measurement
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.images import mean_squared_error, peak_signal_to_noise, structural_similarity
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.training.fit import train

Array = np.ndarray[Any, Any]


def task(channels: int = 1, size: int = 12, **options: Any) -> Autoencoder:
    network = autoencoder_network("conv_autoencoder", channels, size, code=4, width=2, depth=2)
    return Autoencoder(network, "decoder", LabelMap((), ()), [0.5] * channels, [0.5] * channels, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "conv_autoencoder", "width": 3},
        {"architecture": "conv_autoencoder", "depth": 1},
        {"architecture": "dense_autoencoder"},
        {"architecture": "dense_autoencoder", "hidden": [20]},
    ],
)
@pytest.mark.parametrize("size", [12, 17])
def test_images_come_back_through_a_code(options: dict[str, Any], size: int) -> None:
    network = autoencoder_network(channels=3, size=size, code=5, **options)
    images = torch.randn(1, 3, size, size)
    outputs = network(images)
    assert outputs.shape == images.shape
    assert 0 <= float(outputs.min()) < float(outputs.max()) <= 1
    outputs.mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert network.encoder(images).shape == (1, 5)
    network.eval()
    torch.testing.assert_close(network.decoder(network.encoder(images)).sigmoid(), network(images))


def test_too_small_images_are_told() -> None:
    with pytest.raises(UserError, match=r"input.size: 8: .* cannot halve it 4 times"):
        autoencoder_network("conv_autoencoder", 1, 8, depth=4)


def test_options_of_the_other_network_are_told() -> None:
    with pytest.raises(ValidationError, match="hidden is for dense_autoencoder"):
        Config(kind="autoencoder", hidden=[3])


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_loss_is_of_the_clean_image(loss: Any) -> None:
    """Noise goes in, and only in training; what comes out is compared with the image without it."""
    images = torch.randint(0, 256, (3, 12, 12, 1), dtype=torch.uint8)
    own = task(loss=loss, noise=0.5)
    seen: list[torch.Tensor] = []
    own.network.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    torch.manual_seed(1)
    total = own.training_loss(images, {})
    outputs = own.network(seen[0]).detach()
    clean = images.permute(0, 3, 1, 2) / 255
    errors = (outputs - clean) ** 2 if loss == "mse" else -(clean * outputs.log() + (1 - clean) * (1 - outputs).log())
    assert float(total) == pytest.approx(float(errors.mean()), rel=1e-5)
    assert float((seen[0] / 2 + 0.5 - clean).std()) == pytest.approx(0.5, rel=0.1)
    own.validate(images, {})
    torch.testing.assert_close(seen[-1] / 2 + 0.5, clean)


def test_half_precision() -> None:
    images = torch.randint(0, 256, (2, 12, 12, 1), dtype=torch.uint8)
    for loss in ("mse", "bce"):
        with torch.autocast("cpu", torch.bfloat16):
            value = task(loss=loss).training_loss(images, {})
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)


def test_pictures_come_in_original_pixels() -> None:
    rows, columns = np.mgrid[:20, :40]
    original = (4 * rows + 3 * columns).astype(np.uint8)[..., None]
    spot = place(20, 40, 80, "letterbox")
    inside = cv2.resize(original, (80, 40), interpolation=cv2.INTER_LINEAR)
    canvas = np.pad(inside, ((20, 20), (0, 0)), constant_values=114)
    said = task(size=80).predictions(torch.from_numpy(canvas / 255.0)[None, None].float(), [spot])[0].image
    assert said is not None
    assert said.shape == (20, 40, 1)
    assert np.abs(said.astype(int) - original)[2:-2, 2:-2].max() <= 2


def slow_similarity(a: Array, b: Array) -> float:
    """Wang et al. 2004, equations 13 to 16, around each pixel of images without a channel axis."""
    a, b = np.pad(a, 5, "reflect"), np.pad(b, 5, "reflect")
    offsets = np.arange(11) - 5
    profile = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(profile, profile) / profile.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11].astype(float), b[y : y + 11, x : x + 11].astype(float)
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            both = (window * (p - mp) * (q - mq)).sum()
            found.append((2 * mp * mq + c1) * (2 * both + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(found))


def test_image_metrics_are_those_of_slow_loops() -> None:
    rng = np.random.default_rng(0)
    a = cv2.GaussianBlur(rng.integers(0, 256, (19, 23), dtype=np.uint8), (5, 5), 2)
    b = np.clip(a + rng.normal(0, 8, a.shape), 0, 255).astype(np.uint8)
    assert structural_similarity(a[..., None], b[..., None]) == pytest.approx(slow_similarity(a, b), abs=1e-6)
    error = sum((int(x) - int(y)) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)) / a.size / 255**2
    assert mean_squared_error(a[..., None], b[..., None]) == pytest.approx(error)
    assert peak_signal_to_noise(0.01) == pytest.approx(20)
    assert peak_signal_to_noise(0.0) == 60


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 1, 3), (5, 40, 3)])
def test_small_images_have_a_similarity(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert structural_similarity(image, image) == pytest.approx(1)
    assert -1 <= structural_similarity(image, 255 - image) < 0.9


def measured(images: Array, outputs: Array) -> Measurement:
    ids = [f"{i:04d}" for i in range(len(images))]
    encoded = [cv2.imencode(".png", one)[1].tobytes() for one in images]
    own = task()
    said = own.predictions(torch.from_numpy(outputs)[:, None].float(), [place(12, 12, 12, "stretch")] * len(images))
    return own.measure(iter(said), pd.DataFrame({"id": ids, "source": ids, "image": encoded}), bins=15)


def some(count: int = 15) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 12, 12)).astype(np.uint8)
    noise = rng.normal(0, 1, images.shape) * np.linspace(0, 0.3, count)[:, None, None]
    return images, (images / 255 + noise).clip(0, 1)


def test_rows_carry_the_headline() -> None:
    result = measured(*some())
    assert result.headline == "psnr"
    assert result.rows["psnr"][0] == 60, "given back exactly"
    assert result.rows["psnr"].is_monotonic_decreasing


def test_statistics_under_resampling_equal_a_slow_loop() -> None:
    images, outputs = some()
    rows = measured(images, outputs).rows
    counts = np.concatenate(list(resampled_counts(len(images), 8)))
    fast = resampled("autoencoder", rows, counts, task().labels)
    for index, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(len(images)), drawn)
        slow = measured(images[again], outputs[again]).values
        for name, values in fast.items():
            assert values[index] == pytest.approx(slow[name], rel=1e-5)


def test_a_training_learns_to_give_back(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = {
        "dataset": "digits",
        "task": {"kind": "autoencoder", "architecture": "dense_autoencoder", "hidden": [32], "code": 8, "noise": 0.1},
        "weights": "random",
        "augment": "none",
        "input": {"size": 8, "channels": 1},
        "optimizer": {"name": "adam", "lr": 0.01},
        "trainer": {"max_epochs": 3},
    }
    fitted = train(Model.model_validate(config), 3, digits, tmp_path / "model")
    assert fitted.curves[-1]["val_psnr"] > fitted.curves[0]["val_psnr"] > 8
    predictor = load_predictor(tmp_path / "model")
    store = SplitStore(digits / "test")
    images = [bytes(store.image(index)) for index in range(4)]
    said = predictor.predictions(images)
    truth = pd.DataFrame({"id": store.ids[:4], "source": store.sources[:4], "image": images})
    result = predictor.task.measure(said, truth, bins=15)
    assert result.values["psnr"] > 10
    assert "→" not in result.rows["told"][0]


def test_the_network_becomes_a_graph(tmp_path: Path) -> None:
    import onnxruntime

    from sightline.training.artifact.onnx import write_onnx

    own = task(3, 13).eval()
    write_onnx(own, 13, 3, tmp_path / "model.onnx")
    images = torch.randint(0, 256, (3, 13, 13, 3), dtype=torch.uint8)
    (pixels,) = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(pixels, own(images).numpy(), atol=1e-5)
