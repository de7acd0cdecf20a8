"""`task: {kind: classification}`: one class per image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sightline.config.base import Probability, Section


class Classification(Section):
    """One class per image."""

    kind: Literal["classification"]
    architecture: str = Field(
        pattern=r"^(mlp|mnist_cnn|torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$",
        description="mlp, mnist_cnn, torchvision:NAME or timm:NAME",
    )
    loss: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Probability = 0.0
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: each class counts the same, whatever its number of samples"
    )
    dropout: Probability = Field(0.0, description="before the last layer; the network's own default where 0")
