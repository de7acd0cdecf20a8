"""`optimizer:` and `schedule:` how weights follow their gradients."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sightline.config.base import Fraction, Positive, Section

_Share = Annotated[float, Field(ge=0, lt=1)]
_Betas = Annotated[list[_Share], Field(min_length=2, max_length=2)]
_Decay = Annotated[float, Field(ge=0)]
_LR = "learning rate: the highest that the schedule reaches"
_EPS = "added to the denominator, so that it is never 0"
_MOMENTUM = "share of the previous step that is kept in the next one"
_BETAS = "decay of the means of gradients and of their squares"


class _Optimizer(Section):
    lr: Positive = Field(description=_LR)
    weight_decay: _Decay = Field(0.0, description="not applied to biases and normalisations")
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="factor on the learning rate from each layer to the previous one; 1: the same for all"
    )
    input_lr: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="share of lr at the first layer, by equal factors up to the head: layer_decay of any depth"
    )

    @model_validator(mode="after")
    def _one_decay(self) -> _Optimizer:
        if self.layer_decay != 1 and self.input_lr != 1:
            raise ValueError("layer_decay and input_lr are two units of the same; set one of them")
        return self


class Sgd(_Optimizer):
    """Stochastic gradient descent (Robbins and Monro 1951)."""

    name: Literal["sgd"]

    @model_validator(mode="before")
    @classmethod
    def _no_momentum(cls, values: Any) -> Any:
        if isinstance(values, dict) and ("momentum" in values or "nesterov" in values):
            raise ValueError("sgd does not use momentum; use name: momentum or name: nesterov")
        return values


class Momentum(_Optimizer):
    """Gradient descent with a heavy ball's momentum (Polyak 1964)."""

    name: Literal["momentum"]
    momentum: Annotated[float, Field(gt=0, lt=1)] = Field(0.9, description=_MOMENTUM)


class Nesterov(_Optimizer):
    """Momentum with the gradient at the next position (Nesterov 1983; Sutskever et al. 2013)."""

    name: Literal["nesterov"]
    momentum: Annotated[float, Field(gt=0, lt=1)] = Field(0.9, description=_MOMENTUM)


class Adagrad(_Optimizer):
    """Each weight's rate falls with the sum of its squared gradients (Duchi, Hazan and Singer 2011)."""

    name: Literal["adagrad"]
    lr: Positive = Field(1e-2, description=_LR)
    eps: Positive = Field(1e-10, description=_EPS)


class Adadelta(_Optimizer):
    """Steps as large as the recent ones, by decaying means of squares (Zeiler 2012)."""

    name: Literal["adadelta"]
    lr: Positive = Field(1.0, description=_LR)
    rho: _Share = Field(0.9, description="decay of the means of squares")
    eps: Positive = Field(1e-6, description=_EPS)


class Adam(_Optimizer):
    """Adaptive moments (Kingma and Ba 2015); `weight_decay` is added to the gradient."""

    name: Literal["adam"]
    lr: Positive = Field(1e-3, description=_LR)
    betas: _Betas = Field([0.9, 0.999], description=_BETAS)
    eps: Positive = Field(1e-8, description=_EPS)


class AdamW(_Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    name: Literal["adamw"]
    lr: Positive = Field(1e-3, description=_LR)
    betas: _Betas = Field([0.9, 0.999], description=_BETAS)
    eps: Positive = Field(1e-8, description=_EPS)
    weight_decay: _Decay = Field(0.01, description="not applied to biases and normalisations")


class Hebb(Section):
    """Hebb's rule with the wanted output, w += lr t x: needs `loss: hebb` and a network of one layer (Hebb 1949)."""

    name: Literal["hebb"]
    lr: Positive = Field(1.0, description="share of t x by which a weight moves")


class Rosenblatt(Section):
    """Rosenblatt's rule, w += lr t x where the output is wrong: needs `loss: perceptron` and one layer (1958)."""

    name: Literal["rosenblatt"]
    lr: Positive = Field(1.0, description="share of t x by which a weight moves")


class Evolution(Section):
    """Random changes of which the better ones stay, without gradients: a (1+1) strategy (Rechenberg 1973)."""

    name: Literal["evolution"]
    sigma: Positive = Field(
        0.05, description="first standard deviation of the changes; it grows where more than one in five is better"
    )
    tries: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="changes that are tried on each batch")


class NaturalEvolution(Section):
    """Steps along random changes, weighted by the ranks of their losses, without gradients (Salimans et al. 2017)."""

    name: Literal["natural_evolution"]
    lr: Positive = Field(0.02, description=_LR)
    sigma: Positive = Field(0.05, description="standard deviation of the changes")
    population: Annotated[int, Field(ge=2, le=10_000, multiple_of=2)] = Field(
        50, description="changes that are tried on each batch, half of them the others with the sign turned"
    )


Optimizer = Annotated[
    Sgd | Momentum | Nesterov | Adagrad | Adadelta | Adam | AdamW | Hebb | Rosenblatt | Evolution | NaturalEvolution,
    Field(discriminator="name"),
]


class _Schedule(Section):
    warmup: Fraction = Field(0.0, description="share of all steps in which the rate rises to lr")


class Constant(_Schedule):
    """The learning rate stays."""

    name: Literal["constant"]


class Exponential(_Schedule):
    """The learning rate falls by the same factor at each step, down to `final` of it."""

    name: Literal["exponential"]
    final: Annotated[float, Field(gt=0, le=1)] = Field(0.01, description="share of lr at the end")


class Step(_Schedule):
    """The learning rate is multiplied by `factor` at each milestone."""

    name: Literal["step"]
    milestones: Annotated[list[_Share], Field(min_length=1)] = Field(
        [0.5, 0.75], description="milestones as shares of all steps"
    )
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="factor on the learning rate at each milestone"
    )

    @model_validator(mode="after")
    def _ascending(self) -> Step:
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError("milestones must be in ascending order")
        return self


class Cosine(_Schedule):
    """Half a cosine down to `final` of the learning rate (Loshchilov and Hutter 2017)."""

    name: Literal["cosine"]
    final: Fraction = Field(0.0, description="share of lr at the end")


class OneCycle(Section):
    """Up to the learning rate and down again, by cosine (Smith and Topin 2018)."""

    name: Literal["one_cycle"]
    warmup: Annotated[float, Field(gt=0, lt=1)] = Field(0.3, description="share of all steps")
    start: Annotated[float, Field(gt=0, le=1)] = Field(0.04, description="first learning rate, as a share of lr")


Schedule = Annotated[Constant | Exponential | Step | Cosine | OneCycle, Field(discriminator="name")]
