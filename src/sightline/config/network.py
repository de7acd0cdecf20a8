"""The network of a task that looks at whole images: an architecture by name, and what of it may be chosen."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.base import NETWORK, PositiveInt, Probability, TaskSection

LECTURE_NETWORKS = ("neuron", "perceptron", "mlp", "lenet5", "alexnet", "alexnet_small", "mnist_cnn", "lcn_cnn")
ARCHITECTURE = rf"^({'|'.join(LECTURE_NETWORKS)}|torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$"
Views = Literal["one", "mirror"]
VIEWS = "mirror: predicts the mean of what is said of an image and of its mirror image, at twice the cost"
_Rate = Annotated[float, Field(ge=0, lt=1)]


class Network(TaskSection):
    """An architecture with its options; null leaves the network's default (docs/networks.md)."""

    takes_published_size: ClassVar[bool] = True
    architecture: str = Field(
        NETWORK,
        pattern=ARCHITECTURE,
        description=f"{', '.join(LECTURE_NETWORKS)}, torchvision:NAME or timm:NAME",
    )
    activation: Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "softsign"] | None = Field(
        None, description="for the built-in networks"
    )
    initialisation: Literal["xavier", "he"] | None = Field(None, description="initialisation of random weights")
    pooling: Literal["max", "average", "sum"] | None = Field(None, description="for the built-in networks")
    hidden: list[PositiveInt] | None = Field(None, description="units of each hidden layer of mlp")
    dropout: Probability | None = Field(
        None, description="dropout before the last layer, or where the network defines it"
    )
    stochastic_depth: _Rate = Field(
        0.0, description="share of samples that skip the last block; decreasing towards the first"
    )

    @model_validator(mode="after")
    def _outputs_are_classes(self) -> Network:
        if self.architecture in ("neuron", "perceptron") and not self.one_class_per_image:
            raise ValueError(f"architecture: {self.architecture} is a classifier; use mlp with hidden: []")
        return self

    def options(self) -> dict[str, Any]:
        """Return the options as keyword arguments of `models.classifiers.build_classifier`."""
        return {name: getattr(self, name) for name in Network.model_fields if name != "architecture"}
