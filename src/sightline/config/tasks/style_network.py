"""`task: {kind: style_network}`: photographs in the styles of paintings, in one pass and mixed as one likes."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.base import PositiveInt, TaskSection
from sightline.config.weights import file_of

_Weight = Annotated[float, Field(ge=0)]
_LayerWeights = Annotated[dict[str, _Weight], Field(min_length=1)]
_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class StyleNetwork(TaskSection):
    """Photographs in the styles of paintings, in one pass (Johnson et al. 2016, Dumoulin et al. 2017); no labels."""

    default_size: ClassVar[tuple[int, str]] = (192, "strokes can be seen, and a step takes a second")
    default_augment: ClassVar[tuple[str, str]] = ("none", "any photograph will do as it is")
    measured_by: ClassVar[tuple[str, ...]] = (
        "paintings",
        "styles",
        "loss_network",
        "loss_network_weights",
        "style_size",
        "content_layers",
        "style_layers",
        "content_weight",
        "style_weight",
        "pooling",
    )
    kind: Literal["style_network"]
    paintings: Annotated[str, Field(min_length=1, description="the folder of the paintings")]
    styles: Annotated[list[str], Field(min_length=1, max_length=16)] = Field(
        description="files of that folder, one for each style, which is called like its file; every step draws each "
        "image in all of them"
    )
    architecture: Literal["style_resnet"] = Field("style_resnet", description="residual, with instance normalisation")
    width: Annotated[int, Field(ge=4, le=64)] = Field(16, description="maps of the first layer; inside 4 times as many")
    blocks: Annotated[int, Field(ge=1, le=12)] = Field(3, description="number of residual blocks")
    loss_network: str = Field(
        "torchvision:squeezenet1_0",
        pattern=r"^(torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$",
        description="the network whose layers tell content and style: torchvision:NAME or timm:NAME",
    )
    loss_network_weights: str = Field(
        "pretrained",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        description="random, pretrained (data/weights, otherwise the hub), or a file in data/weights",
    )
    style_size: PositiveInt | None = Field(
        None, description="longer side of the paintings, pixels: larger makes larger strokes; null: as input.size"
    )
    content_layers: _LayerWeights | None = Field(
        None, description="weights by layer; null: one layer, chosen by the structure"
    )
    style_layers: _LayerWeights | None = Field(
        None, description="weights by layer; null: several layers, chosen by the structure"
    )
    content_weight: _Weight = Field(1.0, description="larger values preserve more of the content")
    style_weight: Annotated[float, Field(gt=0)] = Field(60.0, description="larger values preserve less of the content")
    tv_weight: _Weight = Field(50.0, description="weight of total variation; larger values give smoother pictures")
    pooling: Literal["max", "average"] = Field(
        "average", description="average: replaces max pooling of the loss network, as in Gatys et al."
    )

    @property
    def names(self) -> tuple[str, ...]:
        """What the styles are called."""
        return tuple(PurePosixPath(file).stem for file in self.styles)

    def files(self, weights_folder: Path) -> list[Path]:
        """Return the paintings, and the weights of the loss network."""
        weights = file_of(self.loss_network_weights, self.loss_network, weights_folder)
        files = [*(Path(self.paintings) / file for file in self.styles), *([weights] if weights else [])]
        return [file for file in files if file.is_file()]

    def options(self) -> dict[str, Any]:
        """Return the network's options as keyword arguments of `models.style.network.style_resnet`."""
        return {"width": self.width, "blocks": self.blocks}

    @model_validator(mode="after")
    def _styles_have_names(self) -> StyleNetwork:
        for file, name in zip(self.styles, self.names, strict=True):
            if "/" in file or not _STEM.fullmatch(name):
                raise ValueError(f"styles: {file}: must be a file of the folder, named with letters, digits, - and _")
            if self.names.count(name) > 1:
                raise ValueError(f"styles: {file}: two styles are called {name}; rename one of the files")
        for key in ("content_layers", "style_layers"):
            weights: dict[str, float] | None = getattr(self, key)
            if weights is not None and not any(weights.values()):
                raise ValueError(f"{key}: all weights are 0; give one a weight above 0")
        return self
