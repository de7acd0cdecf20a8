"""Autoencoders that learn layer by layer, and classifiers that begin with their layers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from pytorch_lightning import Callback, LightningModule, Trainer
from safetensors.torch import load_file
from torch.nn import functional

from sightline.config.models import Model
from sightline.data.structures import LabelMap
from sightline.models.autoencoders import autoencoder_network, layer_pairs
from sightline.models.classify.classifiers import build_classifier
from sightline.system.errors import UserError
from sightline.tasks.autoencoder import Autoencoder
from sightline.training.artifact.folder import read_model
from sightline.training.fit import train

STACK: dict[str, Any] = {
    "dataset": "digits",
    "task": {
        "kind": "autoencoder",
        "architecture": "dense_autoencoder",
        "hidden": [32, 24],
        "code": 8,
        "masking": 0.2,
        "order": "layers",
    },
    "weights": "random",
    "input": {"size": 8, "channels": 1, "mean": [0.2], "std": [0.3]},
    "optimizer": {"name": "adam", "lr": 3e-3},
    "trainer": {"max_epochs": 6, "batch_size": 64, "threads": 1, "keep": "last"},
}


def stack(channels: int = 1, size: int = 6, **options: Any) -> Autoencoder:
    torch.manual_seed(2)
    network = autoencoder_network("dense_autoencoder", channels, size, code=5, hidden=[20, 10])
    options = {"order": "layers", **options}
    return Autoencoder(network, "decoder", LabelMap((), ()), [0.4] * channels, [0.3] * channels, **options)


def some(channels: int = 1, size: int = 6, count: int = 7) -> torch.Tensor:
    return torch.randint(0, 256, (count, size, size, channels), dtype=torch.uint8)


def model(**changes: Any) -> Model:
    parts = {key: {**STACK[key], **changes.pop(key, {})} for key in ("task", "trainer")}
    return Model.model_validate({**STACK, **parts, **changes})


def test_pairs_one_after_the_other_are_the_network() -> None:
    own = stack(3)
    network: Any = own.network
    images = torch.randn(4, 3, 6, 6)
    values = images.flatten(1)
    for encode, _ in layer_pairs(network):
        values = encode(values)
    torch.testing.assert_close(values, network.encoder(images))
    for _, decode in reversed(layer_pairs(network)):
        values = decode(values)
    torch.testing.assert_close(torch.sigmoid(values).view_as(images), network(images))


@pytest.mark.parametrize(("order", "parts"), [("layers", 3), ("layers_then_together", 4)])
@pytest.mark.parametrize("epochs", [4, 9, 30])
def test_each_layer_learns_for_an_equal_share_of_the_epochs(order: Any, parts: int, epochs: int) -> None:
    own = stack(order=order)
    levels = []
    for epoch in range(epochs):
        own.begin_epoch(epoch, epochs)
        levels.append(3 if own.level is None else own.level)
    assert levels == sorted(levels)
    counts = [levels.count(part) for part in range(parts)]
    assert sum(counts) == epochs
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("level", [0, 1, 2])
def test_one_layer_and_the_one_that_undoes_it_learn(level: int) -> None:
    own = stack(masking=0.3)
    own.level = level
    own.training_loss(some(), {}).backward()
    learning = {name.rpartition(".")[0] for name, one in own.network.named_parameters() if one.grad is not None}
    assert learning == {f"encoder.{1 + 2 * level}", f"decoder.{4 - 2 * level}"}


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_loss_of_a_layer_is_what_it_does_not_give_back(loss: Any) -> None:
    own, images = stack(3, loss=loss), some(3)
    weights = own.network.state_dict()
    pixels = images.permute(0, 3, 1, 2).flatten(1) / 255
    values = (pixels - 0.4) / 0.3

    def dense(name: str, given: torch.Tensor) -> torch.Tensor:
        return given @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    first = dense("encoder.1", values).clamp_min(0)
    second = dense("encoder.3", first).clamp_min(0)
    code = dense("encoder.5", second)
    given_back = torch.sigmoid(dense("decoder.4", first))
    wanted = {
        0: ((given_back - pixels) ** 2).mean()
        if loss == "mse"
        else -(pixels * given_back.log() + (1 - pixels) * (1 - given_back).log()).mean(),
        1: ((dense("decoder.2", second).clamp_min(0) - first) ** 2).mean(),
        2: ((dense("decoder.0", code).clamp_min(0) - second) ** 2).mean(),
    }
    for level, expected in wanted.items():
        own.level = level
        assert float(own.training_loss(images, {}).detach()) == pytest.approx(float(expected), rel=1e-4)


def test_masks_fall_on_what_a_layer_is_given_and_never_on_what_is_wanted() -> None:
    own, images = stack(3, size=20, masking=0.4), some(3, 20, 5).clamp_min(1)
    seen: dict[str, torch.Tensor] = {}
    for name in ("encoder.1", "encoder.3"):
        layer = own.network.get_submodule(name)
        layer.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0].detach()}))
    own.level = 0
    own.training_loss(images, {})
    black = ((seen["encoder.1"] * 0.3 + 0.4).abs() < 1e-5).view(5, 3, 20, 20)
    assert float(black.float().mean()) == pytest.approx(0.4, abs=0.05)
    assert bool((black.all(1) == black.any(1)).all())  # all channels of a pixel
    own.level = 1
    own.training_loss(images, {})
    clean = functional.relu(own.network.get_submodule("encoder.1")(own._normalised(images))).detach()
    masked = (seen["encoder.3"] == 0) & (clean > 0)
    assert float(masked.sum() / (clean > 0).sum()) == pytest.approx(0.4, abs=0.15)
    own.level = None
    own.validate(images, {})
    torch.testing.assert_close(seen["encoder.1"], own._normalised(images))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"task": {"architecture": "conv_autoencoder", "hidden": None}},
            "order: layers is for dense_autoencoder, but architecture is conv_autoencoder",
        ),
        ({"trainer": {"max_epochs": 2}}, "trainer.max_epochs: 2: task.order: layers has 3 parts; set it to 3 or more"),
        (
            {"task": {"order": "layers_then_together"}, "trainer": {"max_epochs": 3}},
            "layers_then_together has 4 parts; set it to 4 or more",
        ),
        ({"trainer": {"early_stopping": {"patience": 2}}}, "trainer.early_stopping: the loss of the whole"),
        ({"task": {"masking": 1.0}}, "less than 1"),
    ],
)
def test_what_does_not_fit_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        model(**changes)


class KilledError(Exception):
    pass


class Kill(Callback):
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch == 3:
            raise KilledError


@pytest.fixture(scope="module")
def project(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trained stack in models/stack."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(model(), 3, digits, folder / "models/stack")
    return folder


def test_a_stack_learns_and_a_broken_training_ends_with_the_same_bytes(
    digits: Path, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KilledError):
        train(model(), 3, digits, Path("again"), callbacks=[Kill()])
    fitted = train(model(), 3, digits, Path("again"))
    assert Path("again/weights.safetensors").read_bytes() == (project / "models/stack/weights.safetensors").read_bytes()
    assert len(fitted.curves) == 6
    # The whole gives something back once the last layer has learned.
    assert fitted.curves[5]["val_psnr"] > fitted.curves[1]["val_psnr"] + 1
    task, _ = read_model(Path("again"))
    assert task.training_loss(some(size=8), {}).requires_grad  # read again, all layers learn


def classifier(hidden: list[int], **changes: Any) -> Model:
    values = {
        "dataset": "digits",
        "task": {"kind": "classification", "architecture": "mlp", "hidden": hidden},
        "weights": {"model": "stack"},
        "input": {"size": 8, "channels": 1},
        "augment": "none",
        "optimizer": {"name": "sgd", "lr": 1e-12},
        "trainer": {"max_epochs": 1, "batch_size": 64, "threads": 1},
    }
    return Model.model_validate({**values, **changes})


@pytest.mark.parametrize("hidden", [[32], [32, 24], [32, 24, 8]])
def test_a_classifier_begins_with_the_layers_of_the_stack(
    digits: Path, project: Path, tmp_path: Path, hidden: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = classifier(hidden)
    train(own, 1, digits, tmp_path / "model", weights_folder=project / "data/weights")
    learned = load_file(tmp_path / "model/weights.safetensors")
    given = load_file(project / "models/stack/weights.safetensors")
    for place in range(len(hidden)):
        for part in ("weight", "bias"):
            found, wanted = learned[f"dense{place + 1}.{part}"], given[f"encoder.{1 + 2 * place}.{part}"]
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    _, card = read_model(tmp_path / "model")
    assert (card.input.mean, card.input.std) == ([0.2], [0.3])  # pixels as the stack has seen them


def test_layers_above_the_stack_are_new_and_others_must_fit(
    digits: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = project / "models/stack/weights.safetensors"
    deeper = build_classifier("mlp", 1, 8, 10, hidden=[32, 24, 8, 4], weights=file).network
    assert torch.equal(deeper.state_dict()["dense3.weight"], load_file(file)["encoder.5.weight"])
    with pytest.raises(UserError, match=r"does not fit mlp: other shape: dense1.weight is \(32, 64\)"):
        train(classifier([16]), 1, digits, tmp_path / "model", weights_folder=project / "data/weights")
