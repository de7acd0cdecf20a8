"""Every task on a device that is not the CPU, here a stand-in: it trains, validates, calibrates, predicts, explains."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from device_standin import DEVICE, OnDevice, on_device, standing_in
from pydantic import TypeAdapter
from pytorch_lightning import Trainer
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from test_task_contract import CONTRACT, SLOW, Entry, made, plain, some
from torch import Tensor, nn

from sightline.config.anomaly import PatchCore
from sightline.config.evaluation import Evaluation
from sightline.config.explanations import Explanation
from sightline.config.features import Features
from sightline.config.models import Input
from sightline.config.optimizers import AdamW, Constant
from sightline.config.tasks import Task as TaskConfig
from sightline.data.images import place
from sightline.data.store import SplitStore
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.explain.faithfulness import chance_curve, order_of
from sightline.evaluation.explain.heat import HeatMethod, heat_maps
from sightline.evaluation.explain.layers import map_layers, shown_layers
from sightline.evaluation.explain.making import explain_model
from sightline.evaluation.explain.neighbours import image_features
from sightline.evaluation.explain.patches import seen_areas
from sightline.evaluation.explain.randomisation import with_random_weights
from sightline.evaluation.explain.responses import responses
from sightline.evaluation.explain.targets import surest_targets
from sightline.evaluation.explain.visualisation import channel_images, class_images
from sightline.evaluation.predictor import Predictor, load_predictor
from sightline.tasks.base import Task
from sightline.tasks.classification import Classification
from sightline.training.artifact.folder import ModelCard, write_model
from sightline.training.datamodule import PreparedData
from sightline.training.features.building import build_features
from sightline.training.features.embedding import embed
from sightline.training.features.network import NetworkExtractor
from sightline.training.heads.anomaly.fitting import fit_detector
from sightline.training.module import Fit

TWO = [0, 1]


class Accelerator(CPUAccelerator):
    """Lightning's for the stand-in, which has no driver to set up."""

    def setup_device(self, device: torch.device) -> None:
        assert device == DEVICE


@pytest.fixture(params=list(CONTRACT))
def entry(request: pytest.FixtureRequest) -> Entry:
    return CONTRACT[request.param]


@pytest.fixture
def prepared(request: pytest.FixtureRequest, entry: Entry) -> Path:
    folder: Path = request.getfixturevalue(entry.data)
    return folder


LONGER = (*SLOW, "unet", "fcos")  # to explain


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LONGER)) for name in CONTRACT])
def explained(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def one_epoch(task: Task, prepared: Path, image: Input) -> list[dict[str, float]]:
    """Train with Lightning for a batch, and validate with one; return the curves."""
    data = PreparedData(
        prepared,
        task.targets,
        size=image.size,
        channels=image.channels,
        resize="letterbox",
        augment="light",
        batch_size=2,
        num_workers=0,
        seed=0,
    )
    trainer = Trainer(
        strategy=SingleDeviceStrategy(DEVICE, Accelerator()),
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    fit = Fit(task, AdamW(name="adamw"), Constant(name="constant"), 0, batch_sizes=[2], epochs=1)
    trainer.fit(fit, data)
    return fit.curves


def test_an_epoch_of_training(entry: Entry, prepared: Path) -> None:
    task, image = made(entry, prepared)
    before = [parameter.detach().clone() for parameter in task.parameters()]
    with standing_in():
        [row] = one_epoch(task, prepared, image)
    assert all(np.isfinite(value) for value in row.values())
    assert any(not torch.equal(own.detach(), old) for own, old in zip(task.cpu().parameters(), before, strict=True))


def test_losses_calibration_and_predictions_are_those_of_the_cpu(entry: Entry, prepared: Path) -> None:
    task, image = made(entry, prepared)
    batch = some(task, prepared, image, TWO)
    placements = [place(80, 96, image.size, "letterbox") for _ in TWO]

    def steps(device: torch.device) -> tuple[Tensor, Any]:
        task.to(device).train()
        targets = {
            name: [one.to(device) for one in own] if isinstance(own, list) else own.to(device)
            for name, own in batch.targets.items()
        }
        torch.manual_seed(3)
        loss = task.training_loss(batch.images.to(device), targets)
        gradients = torch.autograd.grad(loss, [p for p in task.parameters() if p.requires_grad], allow_unused=True)
        task.eval()
        with torch.inference_mode():
            outputs = task(batch.images.to(device))
            if task.calibrates:
                task.calibrate(outputs, targets)
        assert (device.type == "cpu") != on_device((loss, gradients, outputs))
        card = SimpleNamespace(input=image, tiling=None, task=None)
        said = Predictor(task, card, device).predict_pixels(batch.images.numpy(), placements)  # type: ignore[arg-type]
        return loss.detach().cpu(), plain(said)

    statistics = {name: value.clone() for name, value in task.state_dict().items()}
    ours = steps(torch.device("cpu"))
    task.load_state_dict(statistics)
    with standing_in() as device:
        theirs = steps(device)
    torch.testing.assert_close(ours[0], theirs[0])
    for one, other in zip(ours[1], theirs[1], strict=True):
        for name, value in one.items():
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-4)
            else:
                assert value == other[name]


def test_explanations(explained: str, request: pytest.FixtureRequest) -> None:
    entry = CONTRACT[explained]
    prepared: Path = request.getfixturevalue(entry.data)
    task, image = made(entry, prepared)
    pixels = some(task, prepared, image, TWO).images.numpy()
    with standing_in() as device:
        task.to(device).eval()
        layers = map_layers(task, pixels)
        [*_, deep] = shown_layers(layers)
        side = task.window or image.size
        inside = np.ascontiguousarray(pixels[:, :side, :side])
        shape = (side, image.channels)
        renewed = with_random_weights(task, 0)
        assert on_device(list(renewed.parameters()))
        assert np.isfinite(responses(task, inside, [deep])[deep].largest).all()
        assert len(image_features(task, inside, deep)) == len(TWO)
        channel_images(task, deep, [0, 1], shape, 1, 0)
        if explained == "classification":  # it looks at a copy on the CPU, for seconds where networks are deep
            seen_areas(task, *shape, [deep])
        if not task.explains:
            return
        class_images(task, [0, 1], shape, 1, 0)
        targets = surest_targets(task, pixels[:1])
        surest_targets(task, pixels[:1], 0)
        for method in get_args(HeatMethod):
            [heat] = heat_maps(method, task, pixels[:1], targets)
        assert np.isfinite(chance_curve(task, pixels[0], targets[0], order_of(heat), insert=True)).all()
    assert on_device(list(task.parameters()))


def test_evaluation_and_pictures_use_the_device_and_agree_with_the_cpu(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, image = made(CONTRACT["classification"], digits)
    config = TypeAdapter(TaskConfig).validate_python(CONTRACT["classification"].task)
    card = ModelCard(config, image, task.labels, "32", False, 2, "0" * 64)
    write_model(tmp_path / "model", task, card)
    settings = Evaluation(resamples=100)
    told = []
    for name in ("cpu", "device"):
        (tmp_path / name).mkdir()
    told.append(evaluate_model(tmp_path / "model", digits, settings, tmp_path / "cpu"))
    seen: list[torch.device] = []
    forward = Classification.forward

    def noting(self: Classification, images: Tensor) -> Any:
        seen.append(images.device)
        return forward(self, images)

    monkeypatch.setattr(Classification, "forward", noting)
    monkeypatch.setenv("SIGHTLINE_DEVICE", "cuda")
    with standing_in():
        told.append(evaluate_model(tmp_path / "model", digits, settings, tmp_path / "device"))
        assert {device.type for device in seen} == {"cuda", "cpu"}  # the exported network is compared on the CPU
        assert seen[0] == DEVICE
        seen.clear()
        explanation = Explanation(dataset="digits", methods=["grad_cam", "filters"], samples=1, images=16)
        explain_model(tmp_path / "model", digits, explanation, 0, tmp_path / "device")
        assert set(seen) == {DEVICE}
    assert told[0] == told[1]


def test_features_are_found_on_the_device(digits: Path) -> None:
    task, image = made(CONTRACT["classification"], digits)
    pixels = some(task, digits, image, TWO).images.numpy()
    extractor = NetworkExtractor(task, ["conv2"], "avg", [1], image.size, image.channels)
    ours = extractor(pixels)
    with standing_in():
        extractor.to("cuda:0")
        assert on_device(list(task.parameters()))
        theirs = extractor(pixels)
    np.testing.assert_allclose(ours["conv2"], theirs["conv2"], rtol=1e-5)


def test_a_head_that_finds_defects_uses_the_device_and_agrees_with_the_cpu(defects: Path, tmp_path: Path) -> None:
    network = {"kind": "network", "architecture": "timm:test_resnet", "layers": ["layer1", "layer2"], "pyramid": [4]}
    values = {"dataset": "defects", "weights": "random", "input": {"size": 64, "channels": 3}, "extractor": network}
    embed(build_features(Features.model_validate(values), 0), defects, tmp_path / "maps")
    head = PatchCore(dataset="defects", features="maps", kind="patch_core")
    fit_detector(head, network["layers"], 0, tmp_path / "maps", defects, tmp_path / "model")  # type: ignore[arg-type]
    test = SplitStore(defects / "test")
    images = [test.image(index) for index in range(4)]
    ours = load_predictor(tmp_path / "model").predictions(images)
    with standing_in():
        predictor = load_predictor(tmp_path / "model", "cuda:0")
        theirs = predictor.predictions(images)
        assert on_device(list(predictor.task.features.extractor.task.parameters()))  # type: ignore[union-attr,attr-defined]
    for one, other in zip(ours, theirs, strict=True):
        assert one.anomaly == pytest.approx(other.anomaly, rel=1e-4)
        np.testing.assert_allclose(one.heat, other.heat, rtol=1e-3, atol=1e-4)  # type: ignore[arg-type]


def test_the_stand_in_refuses_what_cuda_refuses() -> None:
    with standing_in() as device:
        here, there = torch.ones(3), torch.ones(3).to(device)
        layer = nn.Linear(3, 2).to(device)
        assert isinstance(layer.weight, nn.Parameter)
        assert isinstance(there, OnDevice)
        for mixed in (
            lambda: here + there,
            lambda: torch.stack([there.sum(), torch.tensor(1.0)]),
            lambda: torch.tensor(1.0).add_(there.sum()),
            lambda: here[torch.tensor([0], device=device)],
            lambda: layer(here),
            lambda: there.normal_(generator=torch.Generator()),
            there.numpy,
        ):
            with pytest.raises((RuntimeError, TypeError)):
                mixed()
        for fine in (there * torch.tensor(2.0), there[torch.tensor([0])], torch.zeros(2, device=device), layer(there)):
            assert fine.device == DEVICE
        assert there.cpu().numpy().tolist() == [1, 1, 1]
        assert not isinstance(torch.zeros(2), OnDevice)
