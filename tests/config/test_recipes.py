"""A recipe fills what a section leaves out, with ordinary keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.config.errors import ConfigError
from sightline.config.full import full_text
from sightline.config.models import Model
from sightline.config.tasks import kinds
from sightline.config.trainer import Trainer

KINDS = sorted(set(kinds()) - {"own"})
# What has no default.
NEEDED: dict[Any, dict[str, Any]] = {"style_network": {"paintings": "paintings", "styles": ["sea.jpg"]}}


def model(task: Any = "classification", **settings: Any) -> Model:
    section = {"kind": task, **NEEDED[task]} if isinstance(task, str) and task in NEEDED else task
    return Model.model_validate({"dataset": "own", "task": section, **settings})


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_recipe_all_is_as_it_was(kind: str) -> None:
    plain = model(kind)
    assert plain.recipe is plain.ladder is None
    assert plain.trainer == Trainer()
    assert plain.augment == kinds()[kind].default_augment[0]
    assert getattr(plain.optimizer, "lr", None) == (1e-3 if plain.weights == "random" else 5e-4)
    assert getattr(plain.optimizer, "input_lr", None) == 1
    assert getattr(plain.task, "label_smoothing", 0) == 0
    assert getattr(plain.task, "views", "one") == "one"


@pytest.mark.parametrize("weights", ["random", "pretrained"])
@pytest.mark.parametrize("recipe", ["fast", "good", "best"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_task_gets_what_applies_to_it(kind: str, recipe: str, weights: str) -> None:
    given = {} if model(kind).weights == "random" else {"weights": weights}
    made = model(kind, recipe=recipe, **given)
    random = made.weights == "random"
    if recipe == "fast" and kind == "classification" and not random:
        assert made.ladder is not None
        assert made.ladder.rungs == ["head"]
        assert made.trainer == Trainer()
        return
    assert made.schedule.name == "one_cycle"
    assert made.trainer.max_epochs < 40
    assert made.trainer.batch_statistics == ("learn" if random else "keep")
    assert made.trainer.freeze_epochs == (0 if random else 1)
    assert (made.trainer.ema_epochs is None) == (recipe == "fast")
    assert getattr(made.optimizer, "input_lr", None) == (1 if random else 0.1)
    usual = "strip" if kind == "text_recognition" else "light"
    assert made.augment in (usual, "trivial")
    assert made.augment == usual or kind == "classification"
    if recipe != "best":
        assert made.ladder is None
    else:
        rungs = ["fine_tune", "soup"]
        if kind == "classification":
            rungs = [*([] if random else ["head"]), *rungs, "distill"]
        assert made.ladder is not None
        assert made.ladder.rungs == rungs


def test_random_weights_learn_longer_and_faster() -> None:
    random, given = model(recipe="good", weights="random"), model(recipe="good")
    assert random.trainer.max_epochs > given.trainer.max_epochs
    assert random.optimizer.lr > given.optimizer.lr
    assert getattr(random.schedule, "warmup", 0) > getattr(given.schedule, "warmup", 1)


def test_what_is_written_wins() -> None:
    """Each key for itself, and an optimizer or a policy as a whole."""
    written = {
        "augment": "heavy",
        "optimizer": {"name": "sgd", "lr": 0.1},
        "trainer": {"max_epochs": 2, "batch_statistics": "learn", "ema_decay": 0.9, "clip_norm": None},
    }
    made = model({"kind": "classification", "label_smoothing": 0.0}, recipe="best", ladder=None, **written)
    assert made.augment == "heavy"
    assert (made.optimizer.name, made.schedule.name) == ("sgd", "constant")
    trainer = made.trainer
    assert (trainer.max_epochs, trainer.batch_statistics, trainer.ema_decay) == (2, "learn", 0.9)
    assert trainer.ema_epochs is trainer.clip_norm is None
    assert trainer.freeze_epochs == 1, "the rest is the recipe's"
    assert getattr(made.task, "label_smoothing", None) == 0
    assert made.ladder is None


def test_few_epochs_change_what_pays() -> None:
    made = model(recipe="good", trainer={"max_epochs": 3})
    assert made.trainer.ema_epochs is None
    assert made.augment == "light"


def test_images_are_mirrored_where_that_is_stated() -> None:
    stated = {"name": "good", "mirror": True}
    assert model(recipe=stated).augment == "trivial_mirrored"
    assert getattr(model(recipe=stated).task, "views", None) == "mirror"
    assert getattr(model("multilabel", recipe=stated).task, "views", None) == "mirror"
    assert model("detection", recipe=stated).augment == "light_mirrored"
    assert model("detection", recipe={"name": "fast", "mirror": True}).augment == "light_mirrored"


def test_a_rule_keeps_its_optimizer() -> None:
    task = {"kind": "classification", "architecture": "perceptron", "loss": "perceptron"}
    made = model(task, recipe="good")
    assert (made.optimizer.name, made.schedule.name) == ("rosenblatt", "constant")
    assert made.augment == "light"


def written(folder: Path, models: str, trainer: str = "") -> Path:
    path = folder / "params.yaml"
    path.write_text(f"datasets: {{own: {{format: image_folder, root: data/raw/own}}}}\n{trainer}\nmodels: {models}\n")
    return path


@pytest.mark.parametrize("recipe", ["good", "best", "{name: best, mirror: true}"])
def test_the_full_text_gives_each_value_and_its_reason(tmp_path: Path, recipe: str) -> None:
    path = written(
        tmp_path,
        f"{{own: {{dataset: own, task: classification, recipe: {recipe}, trainer: {{clip_norm: 1.0}}}}}}",
        "trainer: {max_epochs: 9}",
    )
    params = load_params(path)
    assert params.models["own"].trainer.max_epochs == 9, "the top-level trainer is written, too"
    text = full_text(path, params)
    lines = [line.strip() for line in text.splitlines()]
    name = params.models["own"].recipe.name  # type: ignore[union-attr]
    assert any(line.startswith("batch_statistics: keep") and f"recipe {name}: " in line for line in lines)
    assert any(line.startswith("# default: recipe") and "Howard and Ruder" in line for line in lines)
    assert any(line.startswith("max_epochs: 9") and "from the top-level trainer" in line for line in lines)
    assert not any("recipe" in line and line.startswith("clip_norm") for line in lines)
    (tmp_path / "full.yaml").write_text(text)
    assert load_params(tmp_path / "full.yaml") == params
    plain = YAML(typ="safe").load(text)["models"]["own"]
    without = {key: value for key, value in plain.items() if key != "recipe"}
    assert Model.model_validate(without) == params.models["own"].model_copy(update={"recipe": None})


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("recipe: god", "models.own.recipe"),
        ("recipe: {name: good, mirrored: true}", "models.own.recipe.mirrored"),
        ("ladder: {rungs: [soup]}", "soup and distill need fine_tune"),
        ("ladder: {rungs: [fine_tune, head]}", "must be in the order head, fine_tune, soup, distill"),
        ("weights: random, ladder: {rungs: [head]}", "head learns from trained weights"),
        ("ladder: {metric: mAP}", "no metric 'mAP'"),
        ("trainer: {ema_decay: 0.9, ema_epochs: 1.0}", "two units of the same"),
        ("optimizer: {name: sgd, lr: 0.1, layer_decay: 0.5, input_lr: 0.1}", "two units of the same"),
    ],
)
def test_each_mistake_is_one_line(tmp_path: Path, own: str, told: str) -> None:
    path = written(tmp_path, f"{{own: {{dataset: own, task: classification, {own}}}}}")
    with pytest.raises(ConfigError) as error:
        load_params(path)
    assert len(error.value.lines) == 1, error.value.lines
    assert told in error.value.lines[0]


def test_steps_that_learn_classes_need_them(tmp_path: Path) -> None:
    path = written(tmp_path, "{own: {dataset: own, task: detection, ladder: {rungs: [fine_tune, distill]}}}")
    with pytest.raises(ConfigError, match="distill needs one class per image"):
        load_params(path)
