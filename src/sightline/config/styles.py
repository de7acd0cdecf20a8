"""`styles:` pictures of the content of one picture in the style of others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.base import Positive, PositiveInt, Section
from sightline.config.weights import MEANING, OwnModel, Weights

_Weight = Annotated[float, Field(ge=0)]
_LayerWeights = Annotated[dict[str, _Weight], Field(min_length=1)]


class Regions(Section):
    """Regions that belong together: two maps, pictures of one colour per region; equal colours belong together."""

    content: Annotated[str, Field(min_length=1, description="the content's map of regions, a PNG of few colours")]
    style: Annotated[str, Field(min_length=1, description="the map of the style's picture, with the same colours")]


class Style(Section):
    """The style of some pictures on the content of another (Gatys, Ecker and Bethge 2016)."""

    content: Annotated[str, Field(min_length=1, description="the picture whose content is kept")]
    style: Annotated[str, Field(min_length=1, description="a picture, or a folder of pictures")]
    mix: Annotated[dict[str, _Weight], Field(min_length=1)] | None = Field(
        None, description="weights of pictures in the folder `style`, by file name; null: all equal"
    )
    architecture: str | None = Field(
        None,
        pattern=r"^(torchvision:[a-z0-9_]+|timm:[A-Za-z0-9_.]+)$",
        description="torchvision:NAME or timm:NAME; null: weights name a model of this project",
    )
    weights: Weights = Field("pretrained", description=MEANING)
    size: Annotated[int, Field(ge=16, le=2048)] = Field(256, description="longer side of the result, pixels")
    style_size: Annotated[int, Field(ge=16, le=2048)] | None = Field(
        None, description="longer side of the style's pictures, pixels: larger makes larger strokes; null: as size"
    )
    content_layers: _LayerWeights | None = Field(
        None, description="weights by layer; null: one layer, chosen by the structure"
    )
    style_layers: _LayerWeights | None = Field(
        None, description="weights by layer; null: several layers, chosen by the structure"
    )
    content_weight: _Weight = Field(1.0, description="larger values preserve more of the content")
    style_weight: _Weight = Field(60.0, description="larger values preserve less of the content")
    tv_weight: _Weight = Field(50.0, description="weight of total variation; larger values give smoother pictures")
    photorealism: _Weight = Field(
        0.0,
        description="weight of the matting Laplacian, which keeps edges straight and colours affine in those of the "
        "content (Luan et al. 2017); 0: a painting, from about 1000 on a photograph",
    )
    regions: Regions | None = Field(
        None, description="maps of regions between which style is transferred, such as sky to sky; null: the whole"
    )
    pooling: Literal["max", "average"] = Field(
        "average", description="average: replaces max pooling, as in Gatys et al."
    )
    colours: Literal["style", "luminance", "transfer"] = Field(
        "style", description="luminance: keep the colours of the content; transfer: recolour the style with them"
    )
    start: Literal["content", "noise"] = Field("content", description="the picture to start from")
    optimizer: Literal["lbfgs", "adam"] = Field("lbfgs", description="L-BFGS-B, or Adam if memory is short")
    learning_rate: Positive = Field(0.03, description="learning rate of adam")
    steps: PositiveInt = Field(200, description="updates of the picture")
    frames_every: Annotated[int, Field(ge=0)] = Field(0, description="steps between saved frames; 0: none")
    animation: Literal["none", "gif", "webp"] = Field("none", description="animation of the frames")
    seed: Annotated[int, Field(ge=0)] | None = Field(None, description="null: the top-level seed")

    @model_validator(mode="after")
    def _weights_fit(self) -> Style:
        of_model = isinstance(self.weights, OwnModel)
        if of_model and self.architecture is not None:
            raise ValueError(f"architecture: {self.architecture}: defined by the model; leave it out")
        if not of_model and self.architecture is None:
            raise ValueError(
                f"architecture: missing, but needed with weights: {self.weights}; e.g. torchvision:squeezenet1_0"
            )
        return self

    @model_validator(mode="after")
    def _something_counts(self) -> Style:
        for name in ("mix", "content_layers", "style_layers"):
            weights: dict[str, float] | None = getattr(self, name)
            if weights is not None and not any(weights.values()):
                raise ValueError(f"{name}: all weights are 0; give one a weight above 0")
        if not self.content_weight and not self.style_weight:
            raise ValueError("content_weight and style_weight are both 0; set one of them above 0")
        if self.regions is not None and self.mix is not None and len([one for one in self.mix.values() if one]) > 1:
            raise ValueError("regions: are those of one style, but mix has several; name a single picture as style")
        if self.animation != "none" and not self.frames_every:
            raise ValueError(f"animation: {self.animation}: needs frames_every greater than 0, e.g. 10")
        return self
