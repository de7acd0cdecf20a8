"""Trials learn as a training does, on the same batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.config.models import Model
from sightline.data.store import SplitStore
from sightline.labs.tuning.findings import Finding
from sightline.labs.tuning.session import probe
from sightline.labs.tuning.speed import other_work
from sightline.labs.tuning.subject import Subject
from sightline.system.errors import UserError
from sightline.training.artifact.folder import read_model
from sightline.training.fit import train

MakeSubject = Callable[..., Subject]
MakeModel = Callable[..., Model]


@pytest.mark.parametrize(
    "trainer",
    [{"precision": "32", "clip_norm": 0.5}, {"precision": "bf16"}, {"accumulate": 2}],
)
def test_an_epoch_of_steps_gives_the_weights_of_a_training(
    subject_of: MakeSubject, model_of: MakeModel, digits: Path, trainer: dict[str, Any]
) -> None:
    settings = {
        "optimizer": {"name": "adam", "lr": 0.01, "weight_decay": 0.1, "layer_decay": 0.5},
        "augment": "light",
        "trainer": {"accelerator": "cpu", "batch_size": 64, "max_epochs": 1, "keep": "last", **trainer},
    }
    subject = subject_of(**settings)
    trial, batches = subject.trial(subject.now.channels_last, rate=0.01), subject.batches(64)
    accumulate = subject.config.trainer.accumulate
    for _ in range(len(subject.data.training_batch_sizes(1)) // accumulate):
        trial.step([next(batches) for _ in range(accumulate)], subject.now.precision)
    train(model_of(**settings), subject.seed, digits, Path("model"))
    trained = read_model(Path("model"))[0].network.state_dict()
    for name, own in trial.task.network.state_dict().items():
        assert torch.allclose(own, trained[name], atol=1e-6), name


def test_batches_are_those_of_a_training(subject_of: MakeSubject) -> None:
    subject = subject_of(augment="light", trainer={"accelerator": "cpu", "batch_size": 32, "sampling": "balanced"})
    first = next(iter(subject.data.train_dataloader()))
    own = list(subject.loader(32, workers=0, batches=3))
    assert len(own) == 3
    for batch in (own[0], next(subject.batches(32))):
        assert torch.equal(batch.images, first.images)
        assert torch.equal(batch.targets["label"], first.targets["label"])
    assert len(subject.batch(2000).images) == 2000


def test_a_rate_of_zero_leaves_the_weights(subject_of: MakeSubject) -> None:
    subject = subject_of()
    trial = subject.trial(False)
    assert float(trial.step([subject.batch(8)], "32")) > 0
    assert all(map(torch.equal, trial.task.parameters(), subject.task.parameters()))


def test_statistics_are_kept_where_a_training_keeps_them(subject_of: MakeSubject, tmp_path: Path) -> None:
    from sightline.models.classify.classifiers import build_classifier

    torch.save(build_classifier("timm:resnet10t", 1, 32, 10).network.state_dict(), tmp_path / "folded.pth")
    settings: dict[str, Any] = {
        "task": {"kind": "classification", "architecture": "timm:resnet10t"},
        "input": {"size": 32, "channels": 1},
        "weights": "folded.pth",
    }
    with pytest.raises(UserError, match="batch_statistics: keep"):
        subject_of(**settings)
    subject = subject_of(**settings, trainer={"accelerator": "cpu", "batch_statistics": "keep"})
    trial = subject.trial(False, rate=0.01)
    trial.step([subject.batch(4)], "32")
    after = dict(trial.task.named_buffers())
    same = [torch.equal(value, after[name]) for name, value in subject.task.named_buffers()]
    assert len(same) > 10
    assert all(same)


def test_devices_that_are_not_there_are_told(subject_of: MakeSubject) -> None:
    with pytest.raises(UserError, match=r"trainer\.accelerator: tpu: not available"):
        subject_of(trainer={"accelerator": "tpu"})
    with pytest.raises(UserError, match="16 needs a GPU"):
        subject_of(trainer={"accelerator": "cpu", "precision": "16"})


@pytest.mark.parametrize(
    ("written", "largest", "fastest", "used", "suggested"),
    [
        (32, 500, False, 32, 32),
        (600, 500, False, 500, 500),  # does not fit
        (5000, 5000, False, None, 5000),  # more than there are samples: one batch, as it is
        (32, 500, True, 64, 64),
    ],
)
def test_the_batch_is_changed_if_it_must_or_was_asked_to(
    digits: Path,
    model_of: MakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: int,
    largest: int,
    fastest: bool,
    used: int | None,
    suggested: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes: dict[str, int] = {}

    def finding(setting: str) -> Callable[..., Finding]:
        def found(_: Subject, __: Any, size: int, *___: Any) -> Finding:
            sizes[setting] = size
            return Finding(setting, 1, 2, "made up")

        return found

    module = "sightline.labs.tuning.session."
    monkeypatch.setattr(module + "largest_batch", lambda _: (largest, "room"))
    monkeypatch.setattr(module + "tune_numerics", lambda subject, *_: (subject.now, []))
    monkeypatch.setattr(module + "batch_speeds", lambda *_: {16: 50.0, 32: 90.0, 64: 96.0, 128: 100.0})
    monkeypatch.setattr(module + "tune_workers", finding("trainer.num_workers"))
    monkeypatch.setattr(module + "tune_learning_rate", finding("optimizer.lr"))
    model = model_of(trainer={"batch_size": written, "accelerator": "cpu"})
    found = probe(model, 1, digits, tmp_path / "out", fastest_batch=fastest, tell=lambda _: None)
    by_name = {finding.setting: finding for finding in found}
    used = used or len(SplitStore(digits / "train"))
    assert sizes == {"trainer.num_workers": used, "optimizer.lr": used}
    assert by_name["trainer.batch_size"].suggested == suggested
    assert ("for batch_size" in by_name["optimizer.lr"].why) == (suggested != written)


def test_a_busy_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 9.0, 9.0))
    assert other_work() is None
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 0.0, 0.0))
    assert "3.0 of 4 cores" in str(other_work())
