"""A training in steps: what is better is kept, what adds nothing is refused, and a killed one goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from sightline.config.ladder import Ladder
from sightline.config.models import Model
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.training.artifact.folder import read_model
from sightline.training.fit import Fitted, train
from sightline.training.job import open_job
from sightline.training.ladder.climb import train_model
from sightline.training.ladder.judgement import Judgement, judged, measured
from sightline.training.ladder.mixture import Teacher, soup
from sightline.training.ladder.probe import as_layer

LABELS = LabelMap(tuple("ab"), tuple("ab"))
SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp", "hidden": [24]},
    "weights": "before.safetensors",
    "input": {"size": 8, "channels": 1},
    "augment": "none",
    "optimizer": {"name": "adamw", "lr": 3e-3},
    "ladder": {"rungs": ["head", "fine_tune", "soup", "distill"], "seeds": 2},
    "trainer": {"max_epochs": 6, "batch_size": 64, "threads": 1, "ema_epochs": 1.0},
}
SCRIPT = """
import json, sys
from pathlib import Path
from sightline.config.models import Model
from sightline.training.job import open_job
from sightline.training.ladder.climb import train_model

settings, prepared, folder, before = sys.argv[1:]
model = Model.model_validate(json.loads(settings))
folder = Path(folder)
fitted = train_model(
    model, 3, Path(prepared), folder / "model", weights_folder=Path(before), resume_root=folder / "resume"
)
print(json.dumps([fitted.ladder, fitted.curves, fitted.best_epoch]))
"""


@pytest.fixture(scope="module")
def before(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of a network that has learned little: of 24 units, on half of the epochs it needs."""
    folder = tmp_path_factory.mktemp("before")
    trainer = {"max_epochs": 1, "batch_size": 64, "threads": 1}
    section = {key: value for key, value in SETTINGS.items() if key not in ("ladder", "weights")}
    model = Model.model_validate({**section, "weights": "random", "trainer": trainer})
    train(model, 9, digits, folder / "model", resume_root=folder / "resume")
    shutil.copy(folder / "model/weights.safetensors", folder / "before.safetensors")
    return folder


def climb(digits: Path, before: Path, folder: Path, **settings: Any) -> Fitted:
    model = Model.model_validate({**SETTINGS, **settings})
    return train_model(model, 3, digits, folder / "model", weights_folder=before, resume_root=folder / "resume")


def weights(folder: Path) -> bytes:
    return (folder / "model/weights.safetensors").read_bytes()


def rungs(fitted: Fitted) -> dict[str, dict[str, Any]]:
    assert fitted.ladder is not None
    return {one["rung"]: one for one in fitted.ladder["rungs"]}


@pytest.fixture(scope="module")
def undisturbed(digits: Path, before: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    told, _ = start(digits, before, folder).communicate()
    return folder, json.loads(told.splitlines()[-1])


def start(digits: Path, before: Path, folder: Path) -> subprocess.Popen[str]:
    arguments = [json.dumps(SETTINGS), str(digits), str(folder), str(before)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_a_whole_ladder_keeps_what_is_better(undisturbed: tuple[Path, list[Any]]) -> None:
    folder, (ladder, curves, best_epoch) = undisturbed
    found = {one["rung"]: one for one in ladder["rungs"]}
    assert list(found) == ["head", "fine_tune", "soup", "distill"]
    assert found["head"]["kept"], "the first is kept in any case"
    assert found["fine_tune"]["kept"]
    assert found["fine_tune"]["low"] > 0
    for one in ladder["rungs"][1:]:
        assert one["kept"] == (one["low"] > 0)
        assert one["low"] <= one["gain"] <= one["high"]
    assert ladder["kept"] == [one["rung"] for one in ladder["rungs"] if one["kept"]][-1]
    assert len(curves) == 6
    assert curves[best_epoch]["val_loss"] == min(row["val_loss"] for row in curves)
    assert not list((folder / "resume").iterdir()), "a finished ladder leaves no checkpoints"
    task, card = read_model(folder / "model")
    assert card.labels.classes == tuple("0123456789")
    assert not task.training


def test_the_kept_network_is_the_one_that_was_measured(
    digits: Path, before: Path, undisturbed: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    folder, (ladder, *_) = undisturbed
    job = open_job(Model.model_validate(SETTINGS), 3, digits, None, tmp_path, before, tmp_path)
    kept = next(one for one in ladder["rungs"] if one["rung"] == ladder["kept"])
    assert measured(job, read_model(folder / "model")[0]).values["accuracy"] == pytest.approx(kept["score"])


def test_the_same_again_and_after_a_kill(
    digits: Path, before: Path, undisturbed: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    """Killed in the last training: those that were finished are read, and the teachers with them."""
    process = start(digits, before, tmp_path)
    assert process.stdout is not None
    lines = iter(process.stdout)
    assert any(line.startswith("ladder: distill 1") for line in lines)
    assert any(line.startswith("epoch   2/") for line in lines)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    told, _ = start(digits, before, tmp_path).communicate()
    assert "resuming an interrupted training" in told
    assert "ladder: fine_tune 1 " not in told
    assert "ladder: fine_tune 2 " not in told
    assert json.loads(told.splitlines()[-1]) == undisturbed[1]
    assert weights(tmp_path) == weights(undisturbed[0])
    assert (tmp_path / "model/model.json").read_bytes() == (undisturbed[0] / "model/model.json").read_bytes()
    assert not list((tmp_path / "resume").iterdir())


def test_a_step_that_adds_nothing_is_refused(digits: Path, before: Path, tmp_path: Path) -> None:
    """Fine-tuning at a rate of almost nothing gives the network that was there."""
    alone = climb(digits, before, tmp_path / "alone", ladder={"rungs": ["head"]})
    assert [row["epoch"] for row in alone.curves] == [0.0]
    assert alone.curves[0]["val_accuracy"] == pytest.approx(rungs(alone)["head"]["score"], abs=1e-6)
    still = {"name": "sgd", "lr": 1e-12}
    ladder = {"rungs": ["head", "fine_tune", "soup", "distill"], "seeds": 2}
    fitted = climb(
        digits, before, tmp_path / "still", ladder=ladder, optimizer=still, trainer={"max_epochs": 1, "threads": 1}
    )
    found = rungs(fitted)
    assert [found[rung]["kept"] for rung in found] == [True, False, False, False]
    assert weights(tmp_path / "alone") == weights(tmp_path / "still")


def test_a_linear_probe_is_the_logistic_regression(digits: Path, before: Path, tmp_path: Path) -> None:
    """What the network says is what scikit-learn's pipeline says of the vectors that enter the last layer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(0)
    vectors = random.normal(3, 2, (90, 5)).astype(np.float32)
    for classes in (np.arange(90) % 3, np.arange(90) % 2):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(vectors, classes)
        weight, bias = as_layer(pipeline, 4)
        scores = torch.from_numpy(vectors @ weight.T + bias).softmax(1).numpy()
        known = pipeline.predict_proba(vectors)
        np.testing.assert_allclose(scores[:, : known.shape[1]], known, atol=1e-4)
        assert scores[:, known.shape[1] :].max() < 1e-6, "a class without images"


def test_a_soup_is_the_mean_and_counters_are_the_first() -> None:
    states = [{"a": torch.full((2,), value), "n": torch.tensor(int(value))} for value in (1.0, 2.0, 6.0)]
    mixed = soup(states)
    assert mixed["a"].tolist() == [3.0, 3.0]
    assert mixed["n"].item() == 1


def test_a_teacher_gives_half_of_the_labels() -> None:
    image = Model.model_validate(SETTINGS).input
    tasks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        tasks.append(build(Model.model_validate(SETTINGS).task, image, LABELS))
    images = torch.randint(0, 256, (4, 8, 8, 1), dtype=torch.uint8)
    with torch.inference_mode():
        chances = torch.stack([task(images).softmax(1) for task in tasks]).mean(0)
    labels = torch.tensor([0, 1, 1, 0])
    taught = Teacher(tasks)(images, {"label": labels})["label"]
    torch.testing.assert_close(taught, chances / 2 + torch.eye(2)[labels] / 2)
    assert not taught.requires_grad
    mixed = torch.full((4, 2), 0.5)
    torch.testing.assert_close(Teacher(tasks)(images, {"label": mixed})["label"], chances / 2 + 0.25)


def rows(right: Any) -> pd.DataFrame:
    """Rows of a classifier that is right or wrong about each of N samples of two classes."""
    count = np.arange(len(right))
    label = count % 2
    predicted = np.where(right, label, 1 - label)
    return pd.DataFrame(
        {"id": count.astype(str), "label": label, "predicted": predicted, "rank": (~np.asarray(right)).astype(int)}
    )


def verdict(before: Any, after: Any, metric: str = "accuracy") -> Judgement:
    settings = Ladder(rungs=["fine_tune", "soup"], resamples=500)
    return judged(settings, "classification", LABELS, "soup", metric, rows(before), rows(after))


@pytest.mark.parametrize(("samples", "level"), [(150, 0.85), (400, 0.95)])
def test_chance_takes_a_step_as_seldom_as_is_said(samples: int, level: float) -> None:
    """Of 800 pairs of equally good, correlated networks at most about 1 in 40 is kept: here 20, deviation 4.4."""
    random = np.random.default_rng(7)
    kept = 0
    for _ in range(800):
        hard = random.random(samples) < 0.6  # samples about which both err for the same reason
        common = random.random(samples) < level
        pair = [np.where(hard, common, random.random(samples) < level) for _ in range(2)]
        kept += verdict(*pair).kept
    assert kept <= stats.binom.ppf(0.999, 800, 0.025), kept
    assert kept >= 2, "a test that never keeps anything would be of no use"


def test_a_better_step_is_kept() -> None:
    random = np.random.default_rng(3)
    kept = 0
    for _ in range(40):
        base = random.random(400) < 0.85
        kept += verdict(base, base | (random.random(400) < 0.3)).kept
    assert kept >= 38


def test_an_error_is_better_when_it_is_smaller(digits: Path, before: Path, tmp_path: Path) -> None:
    fitted = climb(digits, before, tmp_path, ladder={"rungs": ["head", "fine_tune"], "metric": "log_loss"})
    found = rungs(fitted)
    assert found["fine_tune"]["kept"]
    assert found["fine_tune"]["score"] < found["head"]["score"]
    assert found["fine_tune"]["gain"] == pytest.approx(found["head"]["score"] - found["fine_tune"]["score"])


def test_other_kinds_climb_too(scenes: Path, tmp_path: Path) -> None:
    """Several labels per image, whose thresholds are settled after the last step."""
    model = Model.model_validate(
        {
            "dataset": "scenes",
            "task": {"kind": "multilabel", "architecture": "mlp", "hidden": [16]},
            "input": {"size": 16, "channels": 3},
            "augment": "none",
            "ladder": {"rungs": ["fine_tune", "soup"], "seeds": 2},
            "trainer": {"max_epochs": 1, "threads": 1},
        }
    )
    fitted = train_model(model, 0, scenes, tmp_path / "model", resume_root=tmp_path / "resume")
    assert fitted.ladder is not None
    assert fitted.ladder["metric"] == "mean_average_precision"
    task, _ = read_model(tmp_path / "model")
    assert not torch.equal(task.get_buffer("thresholds"), torch.full((10,), 0.5))


def test_a_last_layer_that_cannot_be_fitted_alone_is_left_out(digits: Path, tmp_path: Path) -> None:
    """The ladder goes on without the step, and ends where there is no other."""
    model = Model.model_validate(
        {
            **SETTINGS,
            "task": {"kind": "classification", "architecture": "torchvision:squeezenet1_1"},
            "input": {"size": 32, "channels": 3},
            "weights": "squeeze.safetensors",
            "ladder": {"rungs": ["head"]},
        }
    )
    from safetensors.torch import save_file

    from sightline.models.classify.classifiers import build_classifier

    state = build_classifier("torchvision:squeezenet1_1", 3, 32, 10).network.state_dict()
    save_file(state, tmp_path / "squeeze.safetensors")
    with pytest.raises(UserError, match="no step can be taken: the last layer is a Conv2d"):
        train_model(model, 0, digits, tmp_path / "model", weights_folder=tmp_path, resume_root=tmp_path / "resume")
    assert not (tmp_path / "model").exists()


def test_one_process_alone_climbs(digits: Path, before: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ladder: trains in one process, not in 2; set trainer.devices: 1"):
        climb(digits, before, tmp_path, trainer={"accelerator": "cpu", "devices": 2, "max_epochs": 1})
