"""Steps in turns give the same bytes as single ones."""

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback

from sightline.config.models import Model
from sightline.training import fused
from sightline.training.batch import Batch
from sightline.training.fit import train
from sightline.training.fused import steps_together
from sightline.training.hardware import Numerics

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mnist_cnn", "dropout": 0.3},
    "weights": "random",
    "input": {"size": 16, "channels": 1},
    "augment": "light",
    "optimizer": {"name": "adamw", "lr": 2e-3},
    "schedule": {"name": "one_cycle"},
}


def model(**trainer: Any) -> Model:
    own = {"max_epochs": 2, "batch_size": 48, "threads": 1, "ema_epochs": None, **trainer}
    return Model.model_validate({**SETTINGS, "trainer": own})


def trained(config: Model, digits: Path, folder: Path) -> tuple[bytes, list[dict[str, float]]]:
    fitted = train(config, 3, digits, folder / "model", resume_root=folder / "resume")
    return (folder / "model/weights.safetensors").read_bytes(), fitted.curves


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_same_bytes(precision: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = model(precision=precision, clip_norm=0.5)
    turns: list[int] = []
    step = fused.FusedFit.training_step

    def counted(self: fused.FusedFit, batch: list[Batch], number: int) -> None:
        turns.append(len(batch))
        step(self, batch, number)

    monkeypatch.setattr(fused.FusedFit, "training_step", counted)
    together = trained(config, digits, tmp_path / "together")
    assert turns
    assert max(turns) > 1
    assert min(turns) < max(turns), "an epoch should end in the middle of a turn"
    monkeypatch.setattr("sightline.training.fit.steps_together", lambda *_: 1)
    count = len(turns)
    assert trained(config, digits, tmp_path / "single") == together
    assert len(turns) == count


class Watcher(Callback):
    """Looks at each step."""

    def on_train_batch_end(self, *_: Any) -> None: ...


class Waiter(Callback):
    """Looks at each epoch."""

    def on_train_epoch_end(self, *_: Any) -> None: ...


def test_who_needs_single_steps_has_them() -> None:
    plain = model()
    numerics = Numerics("32", False, 1)

    def together(config: Model, *callbacks: Callback, processes: int = 1, numerics: Numerics = numerics) -> bool:
        return steps_together(config, config.trainer, numerics, processes, callbacks) > 1

    assert together(plain)
    assert together(plain, Waiter())
    assert not together(plain, Waiter(), Watcher())
    assert not together(plain, processes=2)
    assert not together(plain, numerics=Numerics("16", False, 1))
    for single in ({"accumulate": 2}, {"ema_decay": 0.9}, {"num_workers": 1}, {"strategy": "ddp"}):
        assert not together(model(**single)), single
    large = model(batch_size=8).model_copy(update={"input": plain.input.model_copy(update={"size": 512})})
    assert not together(large)
