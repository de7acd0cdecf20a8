"""`heads:` classical models over features; each is a model as a network is: evaluated, gated, registered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.anomaly import HeadSection, Padim, PatchCore
from sightline.config.base import Positive, PositiveInt, Probability

# temperature: softmax of the scores, all divided by one number (Guo et al. 2017), so that no class changes;
# sigmoid, isotonic: a curve per class, then normalised (Platt 1999; Zadrozny and Elkan 2002).
Calibration = Literal["none", "temperature", "sigmoid", "isotonic"]
_Tried = Annotated[list[Positive], Field(min_length=1)]


class _Head(HeadSection):
    standardize: bool = Field(
        True, description="scale each feature to mean 0 and standard deviation 1 on the train samples"
    )
    folds: Annotated[int, Field(ge=2, le=20)] = Field(5, description="folds of the cross-validation on train")
    choose_on: PositiveInt | None = Field(
        None, description="number of train samples, stratified by class, for choosing settings; null: all"
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(None, description="null: the top-level seed")


class _Dropping(_Head):
    dropout: Probability = Field(
        0.0, description="share of features set to zero in copies of the train samples (DeCAF)"
    )
    copies: PositiveInt = Field(5, description="copies of each train sample if dropout is not 0")

    @model_validator(mode="after")
    def _copies_need_dropout(self) -> _Dropping:
        if self.copies != type(self).model_fields["copies"].default and not self.dropout:
            raise ValueError("copies needs dropout greater than 0")
        return self


class _Scoring(_Dropping):
    class_weights: Literal["none", "balanced"] = Field("none", description="balanced: every class has the same weight")
    calibrate: Calibration = Field(
        "temperature",
        description="calibration of probabilities, by cross-validation on train; none: softmax of the scores",
    )


class LinearSvm(_Scoring):
    """One linear support vector machine per class (Cortes and Vapnik 1995), squared hinge loss."""

    kind: Literal["linear_svm"]
    C: _Tried = Field([0.01, 0.1, 1.0], description="candidate weights of the errors; the best one is chosen")


class RbfSvm(_Scoring):
    """Support vector machines with radial basis functions, one per pair of classes."""

    kind: Literal["rbf_svm"]
    C: _Tried = Field([1.0, 10.0], description="candidate weights of the errors; the best one is chosen")
    gamma: Annotated[list[Positive | Literal["scale"]], Field(min_length=1)] = Field(
        ["scale"],
        description="candidates for 1 / (2 width^2); the best one is chosen; scale: 1 / (features x variance)",
    )


class Logistic(_Scoring):
    """Multinomial logistic regression with a quadratic penalty; its probabilities need no calibration."""

    kind: Literal["logistic"]
    C: _Tried = Field([0.01, 0.1, 1.0], description="candidate inverse weights of the penalty; the best one is chosen")
    calibrate: Calibration = Field("none", description="calibration of probabilities, by cross-validation on train")


class Perceptron(_Scoring):
    """Rosenblatt's rule (1958), one unit per class."""

    kind: Literal["perceptron"]


class NearestCentroid(_Head):
    """The class whose mean is nearest: matching with a template per class."""

    kind: Literal["nearest_centroid"]
    standardize: bool = Field(
        False, description="scale each feature to mean 0 and standard deviation 1 on the train samples"
    )


class Knn(_Head):
    """The commonest class among the nearest train samples."""

    kind: Literal["knn"]
    neighbours: Annotated[list[PositiveInt], Field(min_length=1)] = Field(
        [1, 3, 5], description="candidates; the best one is chosen"
    )


# A classifier, and any head.
Head = Annotated[
    LinearSvm | RbfSvm | Logistic | Perceptron | NearestCentroid | Knn,
    Field(discriminator="kind"),
]
AnyHead = Annotated[
    LinearSvm | RbfSvm | Logistic | Perceptron | NearestCentroid | Knn | PatchCore | Padim,
    Field(discriminator="kind"),
]
