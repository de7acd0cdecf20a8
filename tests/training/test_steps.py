"""Optimizer steps: over several batches, clipped in 16 bits, and divided among processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor

from sightline.config.models import Model
from sightline.data.store import load_labels
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.training.batch import Batch
from sightline.training.datamodule import PreparedData
from sightline.training.fit import train
from sightline.training.hardware import Numerics
from sightline.training.job import deciding_settings
from sightline.training.loop import own_share
from sightline.training.module import Fit, accumulated_shares
from sightline.training.resume import resume_folder

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp", "hidden": [16]},
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 0.01},
    "trainer": {"max_epochs": 1, "batch_size": 500, "accelerator": "cpu", "precision": "32", "threads": 1},
}


def fitted(prepared: Path, accumulate: int, callback: Callback, **options: Any) -> list[int]:
    """Train for an epoch; return the sizes of its batches."""
    config = Model.model_validate(SETTINGS)
    task = build(config.task, config.input, load_labels(prepared))
    data = PreparedData(
        prepared,
        task.targets,
        size=8,
        channels=1,
        resize="letterbox",
        augment="none",
        batch_size=500,
        num_workers=0,
        seed=0,
    )
    sizes = data.training_batch_sizes(1)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    module = Fit(task, config.optimizer, config.schedule, 0, batch_sizes=sizes, epochs=1, accumulate=accumulate)
    trainer.fit(module, data)
    assert trainer.global_step == module.steps
    return sizes


class Exact(Callback):
    """Compares the gradients of each step with those of the mean over all its samples."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.steps = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        assert isinstance(pl_module, Fit)
        images = torch.cat([batch.images for batch in self.batches])
        labels = torch.cat([batch.targets["label"] for batch in self.batches])
        with torch.enable_grad():
            loss = pl_module.task.training_loss(images, {"label": labels})
            wanted = torch.autograd.grad(loss, list(pl_module.parameters()))
        for own, gradient in zip(pl_module.parameters(), wanted, strict=True):
            assert own.grad is not None
            torch.testing.assert_close(own.grad, gradient, rtol=1e-4, atol=1e-6)
        self.batches, self.steps = [], self.steps + 1


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 3), (2, 2), (3, 1)])
def test_a_step_is_the_mean_over_its_samples(digits: Path, accumulate: int, steps: int) -> None:
    exact = Exact()
    sizes = fitted(digits, accumulate, exact)
    assert len(sizes) == 3
    assert sizes[0] != sizes[-1]
    assert exact.steps == steps


def test_even_steps_are_left_as_they_are() -> None:
    assert accumulated_shares([7, 7, 7, 3], 1) == [1, 1, 1, 1]
    assert accumulated_shares([7, 7, 7, 7], 2) == [1, 1, 1, 1]
    assert accumulated_shares([8, 8, 8], 2) == [1, 1, 2]
    assert accumulated_shares([6, 2], 2) == [1.5, 0.5]


class Norms(Callback):
    """Notes the norm of the gradients with which the optimizer steps; a fused one may have to undo their scaling."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def note(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
            gradients: list[Tensor] = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
            scale = getattr(optimizer, "grad_scale", None)
            self.seen.append(float(torch.cat(gradients).norm()) / (1 if scale is None else float(scale)))

        [optimizer] = trainer.optimizers
        optimizer.register_step_pre_hook(note)


@pytest.mark.parametrize("name", ["adam", "momentum"])  # with a fused kernel, and without
def test_gradients_are_clipped_in_16_bits(digits: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "optimizer", {"name": name, "lr": 0.01})
    scaled = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=128.0))
    norms = Norms()
    fitted(digits, 1, norms, plugins=[scaled], gradient_clip_val=0.01)
    assert norms.seen == pytest.approx([0.01] * 3, rel=1e-3)


def test_the_batch_of_all_processes_is_divided_or_refused(digits: Path, tmp_path: Path) -> None:
    assert own_share(32, 1) == 32
    assert own_share(32, 4) == 8
    trainer = {**SETTINGS["trainer"], "batch_size": 33, "devices": 2}
    config = Model.model_validate({**SETTINGS, "trainer": trainer})
    with pytest.raises(UserError, match=r"^trainer\.batch_size: 33: .* 2 processes, .*; use 32$"):
        train(config, 0, digits, tmp_path / "model", resume_root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_torchrun_and_devices_must_agree(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "3", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"^trainer\.devices: auto: gives 1 process.* torchrun started 3"):
        train(Model.model_validate(SETTINGS), 0, digits, tmp_path / "model", resume_root=tmp_path)


def test_another_number_of_processes_is_another_training(tmp_path: Path) -> None:
    config, numerics = Model.model_validate(SETTINGS), Numerics("32", False, 1)
    folders = {
        resume_folder(
            json.loads(json.dumps(deciding_settings(config, "none", 0, "", numerics, tmp_path, count))), tmp_path
        )
        for count in (1, 2)
    }
    assert len(folders) == 2
