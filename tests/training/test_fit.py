"""What the settings of a training do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sightline.config.models import Model
from sightline.config.trainer import Trainer
from sightline.data.store import SplitStore
from sightline.system.errors import UserError
from sightline.tasks.classification import balanced_weights
from sightline.training.artifact.folder import read_card, read_model
from sightline.training.fit import Fitted, _with_decay, train
from sightline.training.summary import flat_settings

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp"},
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 1e-3},
    "trainer": {"max_epochs": 2, "batch_size": 64},
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(digits: Path, trainer: dict[str, Any] | None = None, **settings: Any) -> Fitted:
    model = Model.model_validate({**SETTINGS, **settings, "trainer": {**SETTINGS["trainer"], **(trainer or {})}})
    return train(model, 1, digits, Path("model"))


def test_a_training_learns_and_says_what_it_was(digits: Path) -> None:
    fitted = fit(digits)
    assert [row["epoch"] for row in fitted.curves] == [0, 1]
    assert fitted.curves[1]["train_loss"] < fitted.curves[0]["train_loss"]
    assert fitted.curves[1]["val_accuracy"] > 0.6
    card = read_card(Path("model"))
    assert card == fitted.card
    assert card.labels.classes == tuple("0123456789")
    model = Model.model_validate(SETTINGS)
    flat = flat_settings(model, 1, fitted)
    assert flat["optimizer.lr"] == 1e-3
    assert flat["epochs_run"] == 2
    assert not torch.are_deterministic_algorithms_enabled(), "switched on for the training alone"


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd", "lr": 0.05},
        {"name": "nesterov", "lr": 0.05},
        {"name": "adam", "lr": 1e-3, "weight_decay": 1e-4},
        {"name": "adamw", "lr": 1e-3},
    ],
)
def test_every_optimizer_learns(digits: Path, optimizer: dict[str, Any]) -> None:
    curves = fit(digits, optimizer=optimizer, schedule={"name": "cosine", "warmup": 0.1}).curves
    assert curves[1]["val_loss"] < 2.0


def test_early_stopping_keeps_the_best_epoch(digits: Path) -> None:
    fitted = fit(digits, {"max_epochs": 30, "early_stopping": {"patience": 2}}, optimizer={"name": "adam", "lr": 0.1})
    losses = [row["val_loss"] for row in fitted.curves]
    assert len(losses) < 30
    assert fitted.best_epoch == losses.index(min(losses)) == len(losses) - 3
    task, _ = read_model(Path("model"))
    assert not task.training


def test_keep_last_and_keep_best_differ(digits: Path) -> None:
    settings = {"max_epochs": 4}
    worse = {"name": "sgd", "lr": 2.0}
    best = fit(digits, {**settings, "keep": "best"}, optimizer=worse)
    last = fit(digits, {**settings, "keep": "last"}, optimizer=worse)
    assert last.best_epoch == 3
    assert (best.card.weights_sha256 == last.card.weights_sha256) == (best.best_epoch == 3)


def test_clipping_accumulation_and_balance_change_the_result(digits: Path) -> None:
    plain = fit(digits).card.weights_sha256
    others = [
        fit(digits, {"clip_norm": 0.1}),
        fit(digits, {"accumulate": 2}),
        fit(digits, {"ema_decay": 0.9}),
        fit(digits, task={**SETTINGS["task"], "class_weights": "balanced"}),
        fit(digits, task={**SETTINGS["task"], "label_smoothing": 0.1}),
    ]
    hashes = {plain, *(other.card.weights_sha256 for other in others)}
    assert len(hashes) == 6


def test_gradients_are_clipped_in_bf16_too(digits: Path) -> None:
    plain = fit(digits, {"precision": "bf16", "max_epochs": 1})
    clipped = fit(digits, {"precision": "bf16", "max_epochs": 1, "clip_norm": 0.1})
    assert clipped.card.precision == "bf16"
    assert clipped.card.weights_sha256 != plain.card.weights_sha256


def test_only_the_head_learns_while_frozen(digits: Path) -> None:
    torch.manual_seed(0)
    first = read_weights_after(digits, freeze=2, epochs=3, stop=2)
    assert first["body_same"]
    assert not first["head_same"]
    momentum = {"name": "momentum", "lr": 0.001}  # layers that begin to learn later have no momentum yet
    later = read_weights_after(digits, freeze=1, epochs=2, stop=2, optimizer=momentum)
    assert not later["body_same"]


def test_layers_thaw_from_the_top(digits: Path) -> None:
    """After one of two epochs of freezing the upper half has begun to learn, and the lower half has not."""
    told = read_weights_after(digits, freeze=4, epochs=5, stop=3, unfreeze="gradually")
    changed = [place for place, key in enumerate(told["keys"]) if key in told["changed"]]
    assert changed[0] > len(told["keys"]) / 4
    assert len(changed) > len(told["keys"]) / 4
    assert changed == list(range(changed[0], len(told["keys"])))


def read_weights_after(digits: Path, freeze: int, epochs: int, stop: int, **settings: Any) -> dict[str, Any]:
    """Train from a file of weights and compare the weights kept from epoch `stop` with those of the file."""
    from sightline.models.classify.classifiers import build_classifier

    folder = Path("weights")
    folder.mkdir(exist_ok=True)

    model = Model.model_validate(
        {
            **SETTINGS,
            "task": {"kind": "classification", "architecture": "torchvision:squeezenet1_1"},
            "input": {"size": 32, "channels": 3},
            "weights": "w.pth",
            "optimizer": settings.pop("optimizer", SETTINGS["optimizer"]),
            "trainer": {"max_epochs": epochs, "batch_size": 64, "freeze_epochs": freeze, "keep": "last", **settings},
        }
    )
    torch.save(build_classifier("torchvision:squeezenet1_1", 3, 32, 10).network.state_dict(), folder / "w.pth")
    before = torch.load(folder / "w.pth", weights_only=True)
    limited = model.model_copy(update={"trainer": model.trainer.model_copy(update={"max_epochs": stop})})
    train(limited, 1, digits, Path("model"), weights_folder=folder)
    after = read_model(Path("model"))[0].network.state_dict()
    head = "classifier.1"
    return {
        "keys": list(before),
        "changed": {key for key in before if not torch.equal(before[key], after[key])},
        "body_same": all(torch.equal(before[k], after[k]) for k in before if not k.startswith(head)),
        "head_same": all(torch.equal(before[k], after[k]) for k in before if k.startswith(head)),
    }


def test_divergence_is_told(digits: Path) -> None:
    with pytest.raises(UserError, match="training diverged"):
        fit(digits, optimizer={"name": "sgd", "lr": 1e30})
    assert not Path("model").exists()


def test_devices_that_are_not_there_are_told(digits: Path) -> None:
    with pytest.raises(UserError, match="accelerator"):
        fit(digits, {"accelerator": "tpu"})
    with pytest.raises(ValidationError, match=r"(?s)trainer.strategy.*'auto' or 'ddp'"):
        fit(digits, {"strategy": "fsdp"})  # nobody has tried whether what it writes is whole
    with pytest.raises(UserError, match="16 needs a GPU"):
        fit(digits, {"precision": "16", "accelerator": "cpu"})


def test_a_changed_weights_file_is_refused(digits: Path) -> None:
    fit(digits)
    file = Path("model/weights.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"weights\.safetensors: does not match model\.json"):
        read_model(Path("model"))
    with pytest.raises(UserError, match="contains no model"):
        read_model(Path("nowhere"))


def test_balanced_weights_make_classes_count_the_same() -> None:
    weights = balanced_weights([10, 30, 60])
    assert [w * n for w, n in zip(weights, [10, 30, 60], strict=True)] == pytest.approx([100 / 3] * 3)


def test_folded_weights_need_their_statistics_kept(digits: Path) -> None:
    from sightline.models.classify.classifiers import build_classifier

    Path("weights").mkdir()
    torch.save(build_classifier("timm:resnet10t", 1, 32, 10).network.state_dict(), "weights/folded.pth")
    settings = {
        **SETTINGS,
        "task": {"kind": "classification", "architecture": "timm:resnet10t"},
        "weights": "folded.pth",
        "input": {"size": 32, "channels": 1},
        "trainer": {"max_epochs": 1, "batch_size": 64},
    }
    with pytest.raises(UserError, match=r"folded\.pth: batch normalisation is folded.*batch_statistics: keep"):
        train(Model.model_validate(settings), 1, digits, Path("model"), weights_folder=Path("weights"))
    settings["trainer"] = {**settings["trainer"], "batch_statistics": "keep"}
    train(Model.model_validate(settings), 1, digits, Path("model"), weights_folder=Path("weights"))
    state = read_model(Path("model"))[0].network.state_dict()
    means = [value for key, value in state.items() if key.endswith("running_mean")]
    assert means
    assert not any(mean.any() for mean in means)


@pytest.mark.parametrize(("batches", "accumulate", "epochs"), [(100, 1, 1.0), (7, 2, 3.0), (1, 1, 0.5)])
def test_an_average_over_epochs_forgets_by_their_number(batches: int, accumulate: int, epochs: float) -> None:
    """After so many epochs older weights have a share of 1/e, whatever the number of steps."""
    settings = _with_decay(Trainer(ema_epochs=epochs, accumulate=accumulate), batches)
    assert settings.ema_decay is not None
    steps = -(-batches // accumulate)
    assert settings.ema_decay ** (steps * epochs) == pytest.approx(np.exp(-1))
    assert _with_decay(Trainer(), 10).ema_decay is None


def test_an_average_over_epochs_is_the_average_by_steps(digits: Path) -> None:
    fit(digits, {"ema_epochs": 1.0, "batch_size": 100})
    over_epochs = Path("model/weights.safetensors").read_bytes()
    steps = -(-len(SplitStore(digits / "train")) // 100)
    fit(digits, {"ema_decay": float(np.exp(-1 / steps)), "batch_size": 100})
    assert Path("model/weights.safetensors").read_bytes() == over_epochs
    fit(digits, {"batch_size": 100})
    assert Path("model/weights.safetensors").read_bytes() != over_epochs
