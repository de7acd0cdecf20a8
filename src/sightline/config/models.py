"""`models:` a network, its data, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.base import Fraction, Positive, Section
from sightline.config.tasks import Task
from sightline.config.trainer import Trainer

_Betas = Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
_Channels = Annotated[list[float], Field(min_length=1, max_length=3)]


class Input(Section):
    """What the network sees: images are decoded upright, brought to `size`, and normalised on the device."""

    size: Annotated[int, Field(ge=8, le=2048)] = Field(description="pixels, both sides")
    channels: Literal[1, 3] = 3
    resize: Literal["letterbox", "stretch", "crop"] = Field(
        "letterbox", description="letterbox: whole image, padded; stretch: ignore the aspect; crop: centre square"
    )
    mean: _Channels | None = Field(None, description="per channel in [0, 1]; default ImageNet's, grey 0.5")
    std: _Channels | None = Field(None, description="per channel; default ImageNet's, grey 0.5")

    @model_validator(mode="after")
    def _per_channel(self) -> Input:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values, but channels is {self.channels}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be greater than 0")
        return self


class Sgd(Section):
    """Stochastic gradient descent, with Nesterov's momentum where `nesterov`."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum greater than 0")
        return self


class Adam(Section):
    """Adam; `weight_decay` is added to the gradient."""

    name: Literal["adam"]
    lr: Positive = 1e-3
    betas: _Betas = Field([0.9, 0.999])
    eps: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class AdamW(Section):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"]
    lr: Positive = 1e-3
    betas: _Betas = Field([0.9, 0.999])
    eps: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.01


Optimizer = Annotated[Sgd | Adam | AdamW, Field(discriminator="name")]


class Constant(Section):
    """The learning rate stays."""

    name: Literal["constant"]


class Cosine(Section):
    """Linear warm-up, then half a cosine down to `final` of the learning rate."""

    name: Literal["cosine"]
    warmup: Fraction = Field(0.0, description="share of all steps")
    final: Fraction = 0.0


class OneCycle(Section):
    """Up to the learning rate and down again, by cosine."""

    name: Literal["one_cycle"]
    warmup: Annotated[float, Field(gt=0, lt=1)] = Field(0.3, description="share of all steps")
    start: Annotated[float, Field(gt=0, le=1)] = Field(0.04, description="first learning rate, as a share of lr")


Schedule = Annotated[Constant | Cosine | OneCycle, Field(discriminator="name")]


class Model(Section):
    """One trained and registered model."""

    dataset: str
    task: Task
    weights: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        description="random, pretrained (from the hub), or a file in data/weights",
    )
    input: Input
    augment: Literal["none", "light"] = "none"
    optimizer: Optimizer
    schedule: Schedule = Constant(name="constant")
    seed: Annotated[int, Field(ge=0)] | None = Field(None, description="null: the seed at the top of the file")
    trainer: Trainer = Trainer()

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        architecture = self.task.architecture
        if ":" not in architecture and self.weights == "pretrained":
            raise ValueError(f"weights: pretrained is not offered for {architecture}; use random or a file")
        if self.trainer.freeze_epochs and self.weights == "random":
            raise ValueError("trainer.freeze_epochs needs trained weights, but weights is random")
        if self.trainer.batch_statistics == "keep" and self.weights == "random":
            raise ValueError("trainer.batch_statistics: keep needs trained weights, but weights is random")
        if self.trainer.freeze_epochs >= self.trainer.max_epochs:
            raise ValueError("trainer.freeze_epochs must be less than trainer.max_epochs")
        return self
