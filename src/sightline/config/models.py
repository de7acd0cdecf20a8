"""`models:` a network, its data, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sightline.config.augmentations import MIRRORING_POLICIES, READY_POLICIES
from sightline.config.base import Section
from sightline.config.crop_by import MaybeCropBy
from sightline.config.defaults import as_mapping, complete_model
from sightline.config.ladder import Ladder
from sightline.config.metrics import can_measure, known_metrics, unknown_metric
from sightline.config.optimizers import (
    AdamW,
    Constant,
    Evolution,
    Hebb,
    NaturalEvolution,
    Optimizer,
    Rosenblatt,
    Schedule,
)
from sightline.config.recipes import Recipe, as_recipe
from sightline.config.tasks import Autoencoder, Task, kinds
from sightline.config.tiling import KINDS, MaybeTiling
from sightline.config.trainer import Trainer
from sightline.config.weights import MEANING, Weights

ShortTask = Annotated[Task, BeforeValidator(as_mapping, json_schema_input_type=str | Task)]
ShortRecipe = Annotated[Recipe | None, BeforeValidator(as_recipe, json_schema_input_type=str | Recipe | None)]
_Channels = Annotated[list[float], Field(min_length=1, max_length=3)]


class Input(Section):
    """What the network sees: images are decoded upright, brought to `size`, and normalised on the device."""

    size: Annotated[int, Field(ge=8, le=2048)] = Field(224, description="height and width in pixels")
    width: Annotated[int, Field(ge=8, le=2048)] | None = Field(
        None, description="of an input that is no square, whose height is size; for lines of text. null: size"
    )
    channels: Literal[1, 3] = Field(3, description="1: grey, 3: RGB")
    resize: Literal["letterbox", "stretch", "crop"] = Field(
        "letterbox", description="letterbox: whole image, padded; stretch: ignore the aspect ratio; crop: centre square"
    )
    mean: _Channels | None = Field(
        None, description="per channel in [0, 1]; null: that of the weights, or ImageNet's; 0.5 for grey"
    )
    std: _Channels | None = Field(
        None, description="per channel; null: that of the weights, or ImageNet's; 0.5 for grey"
    )

    interpolation: Literal["area", "bilinear", "bicubic"] | None = Field(
        None,
        description="how images are brought to size. area: averages where they shrink, linear where they grow; "
        "bilinear, bicubic: antialiased, as Pillow does it; null: that of the model that the weights are of, or area",
    )

    @model_validator(mode="after")
    def _per_channel(self) -> Input:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values, but channels is {self.channels}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be greater than 0")
        return self

    @property
    def extent(self) -> int | tuple[int, int]:
        """The side of a square in pixels, or height and width."""
        return self.size if self.width is None else (self.size, self.width)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `width` came later and is left out where it says nothing: old files stay equal."""
        values = self.model_dump()
        return {name: value for name, value in values.items() if name != "width" or value is not None}


class Model(Section):
    """One trained and registered model; `dataset` and `task` are enough (defaults: `sightline check --full`)."""

    dataset: str = Field(description="a key of datasets")
    task: ShortTask = Field(description="what the model learns: a kind, or a mapping with kind and options")
    weights: Weights = Field("pretrained", description=MEANING)
    recipe: ShortRecipe = Field(
        None, description="fast, good or best: fills what this section leaves out; null: the defaults"
    )
    input: Input = Field(Input(), description="input of the network")
    tiling: MaybeTiling = Field(
        None, description="large images in overlapping tiles, for detection and segmentation; null: whole images"
    )
    augment: str = Field(
        "light",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description=f"how training images vary: {', '.join(READY_POLICIES)}, or a key of augmentations",
    )
    optimizer: Optimizer = Field(
        AdamW(name="adamw", lr=5e-4, weight_decay=0.05), description="how weights are updated from gradients"
    )
    schedule: Schedule = Field(Constant(name="constant"), description="how the learning rate changes over the epochs")
    crop_by: MaybeCropBy = Field(
        None, description="a detector of this file to whose most confident box images are cropped; null: whole images"
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(None, description="null: the top-level seed")
    trainer: Trainer = Field(Trainer(), description="training settings that differ from the top-level trainer")
    ladder: Ladder | None = Field(
        None, description="a training in steps, each kept only if it is better on validation; null: one training"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        return complete_model(values)

    @model_validator(mode="after")
    def _weights_fit(self) -> Model:
        trunk = self.trunk()
        if ":" not in trunk and self.weights == "pretrained":
            raise ValueError(f"weights: pretrained is not available for {trunk}; use random or a file")
        if self.weights != "random" and getattr(self.task, "initialisation", None) is not None:
            raise ValueError(f"task.initialisation is for random weights, but weights is {self.weights}")
        if self.weights == "random":
            for name, default in (("freeze_epochs", 0), ("batch_statistics", "learn")):
                value = getattr(self.trainer, name)
                if value != default:
                    raise ValueError(f"trainer.{name}: {value} needs trained weights, but weights is random")
        return self

    @model_validator(mode="after")
    def _shape_fits(self) -> Model:
        if self.input.width is not None and self.task.default_width is None:
            suits = ", ".join(kind for kind, own in kinds().items() if own.default_width is not None)
            raise ValueError(
                f"input.width: {self.input.width}: is for {suits}, but task.kind is {self.task.kind}, whose input is "
                "a square; leave width out"
            )
        return self

    @model_validator(mode="after")
    def _mirrors_fit(self) -> Model:
        if self.recipe is not None and self.recipe.mirror and not self.task.takes_mirrored:
            raise ValueError(
                f"recipe.mirror: task.kind is {self.task.kind}, and mirrored text is no text; leave it out"
            )
        if not self.task.takes_mirrored and self.augment in MIRRORING_POLICIES:
            raise ValueError(
                f"augment: {self.augment} mirrors images, but task.kind is {self.task.kind}, and mirrored text is no "
                "text; use strip, or another policy that does not mirror"
            )
        return self

    @model_validator(mode="after")
    def _views_fit(self) -> Model:
        views, stride, size = getattr(self.task, "views", "one"), self.task.coarsest_stride(), self.input.size
        if views == "mirror" and size % stride:
            nearest = stride * max(1, round(size / stride))
            raise ValueError(
                f"task.views: mirror needs an input.size that {stride}, the coarsest stride, divides, got {size}; "
                f"use {nearest}, or views: one"
            )
        return self

    @model_validator(mode="after")
    def _tiling_fits(self) -> Model:
        if self.tiling is not None and self.task.kind not in KINDS:
            raise ValueError(
                f"tiling is for {', '.join(KINDS)}: what {self.task.kind} says of tiles makes no answer for the image"
            )
        if self.tiling is not None and getattr(self.task, "boxes", None) == "oriented":
            raise ValueError("tiling merges upright boxes, and task.boxes is oriented; leave one of them out")
        return self

    @model_validator(mode="after")
    def _training_fits(self) -> Model:
        trainer, task = self.trainer, self.task
        if trainer.freeze_epochs >= trainer.max_epochs:
            raise ValueError("trainer.freeze_epochs must be less than trainer.max_epochs")
        if trainer.sampling == "balanced" and not task.one_class_per_image:
            raise ValueError(f"trainer.sampling: balanced needs one class per image, but task.kind is {task.kind}")
        loss = getattr(task, "loss", None)
        needed = {"hebb": "hebb", "rosenblatt": "perceptron"}.get(self.optimizer.name)
        if needed is not None and loss != needed:
            raise ValueError(
                f"optimizer.name: {self.optimizer.name} needs task.loss: {needed}, to which the rule belongs"
            )
        if loss == "hebb" and not isinstance(self.optimizer, Hebb):
            raise ValueError("task.loss: hebb is unbounded below; it needs optimizer.name: hebb")
        if isinstance(self.optimizer, Hebb | Rosenblatt | Evolution) and self.schedule.name != "constant":
            raise ValueError(f"optimizer.name: {self.optimizer.name} does not use a schedule; leave schedule out")
        return self

    @model_validator(mode="after")
    def _search_fits(self) -> Model:
        name = self.optimizer.name
        if not isinstance(self.optimizer, Evolution | NaturalEvolution):
            return self
        for key in ("recipe", "ladder"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: trains by gradients, which {name} does without; leave one of them out")
        for key, default in (("accumulate", 1), ("clip_norm", None), ("freeze_epochs", 0)):
            value = getattr(self.trainer, key)
            if value != default:
                told = "null" if default is None else default
                raise ValueError(f"trainer.{key}: {value}: {name} has no gradients; set it to {told}")
        if self.trainer.precision not in ("auto", "32"):
            raise ValueError(
                f"trainer.precision: {self.trainer.precision}: {name} compares losses that differ little; use 32"
            )
        return self

    @model_validator(mode="after")
    def _phases_fit(self) -> Model:
        if not isinstance(self.task, Autoencoder):
            return self
        phases = self.task.phases()
        if phases > self.trainer.max_epochs:
            raise ValueError(
                f"trainer.max_epochs: {self.trainer.max_epochs}: task.order: {self.task.order} has {phases} parts; "
                f"set it to {phases} or more"
            )
        if phases > 1 and self.trainer.early_stopping is not None:
            raise ValueError(
                "trainer.early_stopping: the loss of the whole does not fall before the last layer learns; "
                "set it to null, or task.order: together"
            )
        return self

    @model_validator(mode="after")
    def _ladder_fits(self) -> Model:
        if self.ladder is None:
            return self
        kind, rungs = self.task.kind, self.ladder.rungs
        classes = self.task.one_class_per_image and getattr(self.task, "loss", None) == "cross_entropy"
        for rung in ("head", "distill"):
            if rung in rungs and not classes:
                raise ValueError(f"ladder.rungs: {rung} needs one class per image and task.loss: cross_entropy")
        if "head" in rungs and self.weights == "random":
            raise ValueError("ladder.rungs: head learns from trained weights, but weights is random")
        if self.ladder.metric is not None and not can_measure(kind, self.ladder.metric):
            raise ValueError(f"ladder.metric: {unknown_metric(self.ladder.metric, known_metrics(kind))}")
        return self

    def trunk(self) -> str:
        """Return the network, or the one below pyramid or decoder, that weights are published for."""
        return str(getattr(self.task, "backbone", None) or getattr(self.task, "architecture", ""))
