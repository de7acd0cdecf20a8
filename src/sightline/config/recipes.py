"""`models.*.recipe:` what a model's section leaves out, filled with settings that go together.

A recipe is nothing but a list of ordinary keys with reasons; `sightline check --full` prints them, and each may be
written down instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from sightline.config.base import Section, TaskSection

Key = tuple[str, ...]
Filled = tuple[Key, Any, str]  # where, value, and why
RecipeName = Literal["fast", "good", "best"]
_FEW = 5  # epochs, below which an average over a whole one mostly holds what is long out of date


class Recipe(Section):
    """Settings that go together, for all keys that the section leaves out."""

    name: RecipeName = Field(
        description="fast: the last layer, or few epochs; good: sound settings; best: the same, and a ladder"
    )
    mirror: bool = Field(
        False, description="whether a mirrored image still shows the same: not digits, text, or left and right hands"
    )


def as_recipe(value: Any) -> Any:
    """Return `recipe: NAME` as the mapping that it stands for."""
    return {"name": value} if isinstance(value, str) else value


@dataclass(frozen=True)
class Known:
    """What a recipe depends on.

    Attributes:
        kind: of task.
        random: whether the weights are.
        loss: of the task, if it has a choice.
        epochs: that are written down; None if they are not.
    """

    kind: type[TaskSection]
    random: bool
    loss: str | None
    epochs: int | None


# Of a pretrained network whose errors have no bound: at 1e-3 it fell back to the mean in the second epoch, and stayed.
_RATE_OF_NUMBERS = 3e-4


def recipe_values(recipe: Any, known: Known) -> Iterator[Filled]:
    """Yield path, value and reason of each key of a recipe; nothing for what the schema will reject.

    Args:
        recipe: as read.
        known: of the section.
    """
    written = as_recipe(recipe)
    name = written.get("name") if isinstance(written, Mapping) else None
    if name not in ("fast", "good", "best"):
        return
    mirror = written.get("mirror") is True
    policy = known.kind.default_augment[0] if not known.kind.takes_mirrored else "light"
    values = _fast(known, mirror, policy) if name == "fast" else _good(known, mirror, policy)
    ladder = _ladder(known) if name == "best" else []
    yield from ((key, value, f"recipe {name}: {why}") for key, value, why in [*values, *ladder])


def _fast(known: Known, mirror: bool, policy: str) -> list[Filled]:
    if _learns_classes(known) and not known.random:
        return [(("ladder",), {"rungs": ["head"]}, "the last layer alone, on the features of the body as it is")]
    epochs = known.epochs or (8 if known.random else 4)
    values: list[Filled] = [(("trainer", "max_epochs"), epochs, "few epochs")]
    if not known.random:
        values += [*_first_the_head(epochs), *_kept_statistics()]
    return [*values, *_optimizer(known, 2e-3 if known.random else 1e-3), *_varied(policy, mirror)]


def _good(known: Known, mirror: bool, policy: str) -> list[Filled]:
    epochs = known.epochs or (30 if known.random else 12)
    long = "random weights learn longer" if known.random else "enough for fine-tuning"
    values: list[Filled] = [(("trainer", "max_epochs"), epochs, long)]
    if not known.random:
        values += [*_first_the_head(epochs), *_kept_statistics()]
    if epochs >= _FEW:
        values.append((("trainer", "ema_epochs"), 1.0, "averaged weights err less (Izmailov et al. 2018)"))
    values.append((("trainer", "clip_norm"), 5.0, "one odd batch does not undo the others"))
    fitted = _RATE_OF_NUMBERS if known.loss in ("mse", "mae", "huber") else 1e-3
    values += _optimizer(known, 2e-3 if known.random else fitted)
    classes = _learns_classes(known)
    if classes:
        values.append((("task", "label_smoothing"), 0.1, "less sure of itself (Szegedy et al. 2016)"))
    if mirror and known.kind.mirrored_by_recipe:
        values.append((("task", "views"), "mirror", "an image and its mirror image, which shows the same"))
    trivial = classes and not known.random and epochs > _FEW
    return [*values, *_varied("trivial" if trivial else policy, mirror)]


def _learns_classes(known: Known) -> bool:
    return known.kind.one_class_per_image and known.loss == "cross_entropy"


def _first_the_head(epochs: int) -> list[Filled]:
    why = "the new head learns first, so that it does not spoil the body (Kumar et al. 2022)"
    return [(("trainer", "freeze_epochs"), 1, why)] if epochs > 1 else []


def _kept_statistics() -> list[Filled]:
    return [(("trainer", "batch_statistics"), "keep", "those of many images are better than those of a batch")]


def _optimizer(known: Known, rate: float) -> list[Filled]:
    if known.loss in ("hebb", "perceptron"):  # a rule of its own, without a schedule
        return []
    section: dict[str, Any] = {"name": "adamw", "lr": rate, "weight_decay": 0.05}
    why = "a rate for random weights, after a warm-up"
    if not known.random:
        section["input_lr"] = 0.1
        why = "lower layers learn more slowly, as they fit already (Howard and Ruder 2018)"
    warmup = 0.3 if known.random else 0.2
    return [
        (("optimizer",), section, why),
        (("schedule",), {"name": "one_cycle", "warmup": warmup}, "warm-up, then down to nothing"),
    ]


def _varied(policy: str, mirror: bool) -> list[Filled]:
    name = f"{policy}_mirrored" if mirror else policy
    words = {
        "light": "small moves and light",
        "strip": "moves so small that no character leaves the strip",
        "trivial": "one transform of any strength (Müller and Hutter 2021)",
    }
    return [(("augment",), name, words[policy] + ("; mirrors" if mirror else "; never mirrors"))]


def _ladder(known: Known) -> list[Filled]:
    rungs = ["fine_tune", "soup"]
    if _learns_classes(known):
        rungs = [*([] if known.random else ["head"]), *rungs, "distill"]
    return [(("ladder",), {"rungs": rungs}, "a step is kept only if it is better on validation")]
