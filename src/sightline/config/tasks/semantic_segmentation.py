"""`task: {kind: semantic_segmentation}`: one class per pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.base import NETWORK, WHY_NETWORK, PositiveInt, TaskSection
from sightline.config.detector import Strides
from sightline.config.network import VIEWS, Views

_NETWORKS = ("full_resolution", "fcn", "segnet", "unet")
_PYRAMID = "semantic_fpn"
_MOST_HALVINGS = 6
_OPTIONS = ("backbone", "strides", "width", "depth", "upsampling", "stride")
_CHANNELS_PER_GROUP = 8


class SemanticSegmentation(TaskSection):
    """One class per pixel; pixels of value 255 are neither learned nor scored."""

    spatial: ClassVar[bool] = True
    default_size: ClassVar[tuple[int, str]] = (256, "regions need more pixels than whole images")
    mixes_objects: ClassVar[bool] = True
    kind: Literal["semantic_segmentation"]
    views: Views = Field("one", description=VIEWS)
    architecture: str = Field(
        "unet",
        pattern=rf"^({'|'.join(_NETWORKS)}|{_PYRAMID}|smp:[A-Za-z0-9]+)$",
        description=f"{', '.join(_NETWORKS)}, {_PYRAMID}, or smp:NAME of segmentation-models-pytorch, e.g. smp:Unet",
    )
    backbone: Annotated[str, Field(pattern=r"^(timm:[A-Za-z0-9_.]+|(torchvision|smp):[A-Za-z0-9_-]+)$")] | None = Field(
        None,
        description="below semantic_fpn: torchvision:NAME or timm:NAME; encoder of smp:NAME: timm:NAME, or smp:NAME "
        "for an encoder of that library",
    )
    strides: Strides | None = Field(
        None, description="for semantic_fpn: input pixels per point of each map; null: [4, 8, 16, 32]"
    )
    width: PositiveInt | None = Field(
        None, description="channels of the finest stage; null: 16. For semantic_fpn, a multiple of 8; null: 64"
    )
    depth: Annotated[int, Field(ge=1, le=32)] | None = Field(
        None,
        description="number of times the sides are halved, or of layers of full_resolution; null: the "
        "network's default",
    )
    upsampling: Literal["nearest", "transposed"] | None = Field(None, description="upsampling of unet; null: nearest")
    stride: Literal[1, 2, 4] | None = Field(
        None, description="side of the pixel squares that a network processes as one; 2 costs a quarter of 1"
    )
    loss: Literal["cross_entropy", "dice", "focal", "cross_entropy_dice"] = Field(
        "cross_entropy", description="dice: overlap of each class; focal: confident pixels count little"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: every class has the same weight in cross entropy, regardless of its number of pixels",
    )

    @model_validator(mode="after")
    def _backbone_fits(self) -> SemanticSegmentation:
        name, backbone = self.architecture, self.backbone
        if name in _NETWORKS:
            if backbone is not None:
                raise ValueError(f"backbone: {backbone}: {name} does not use a backbone; use {_PYRAMID} or smp:Unet")
            return self
        if backbone is None:
            raise ValueError(f"architecture: {name} needs a backbone, e.g. timm:resnet18")
        known = ("torchvision", "timm") if name == _PYRAMID else ("timm", "smp")
        if not backbone.startswith(known):
            raise ValueError(f"backbone: {backbone}: {name} takes {' or '.join(f'{one}:NAME' for one in known)}")
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> SemanticSegmentation:
        name = self.architecture
        for option, takers in (("stride", _NETWORKS), ("strides", (_PYRAMID,)), ("upsampling", ("unet",))):
            if getattr(self, option) is not None and name not in takers:
                raise ValueError(f"{option} is for {', '.join(takers)}, but architecture is {name}")
        if self.depth is not None and name in ("fcn", _PYRAMID):
            raise ValueError(f"depth: {name} has a fixed depth; leave it out")
        if self.depth is not None and self.depth > _MOST_HALVINGS and name != "full_resolution":
            raise ValueError(f"depth: {name} can halve {_MOST_HALVINGS} times at most, got {self.depth}")
        if name == _PYRAMID and self.width is not None and self.width % _CHANNELS_PER_GROUP:
            raise ValueError(f"width: {name} normalises groups of {_CHANNELS_PER_GROUP} channels, got {self.width}")
        if self.class_weights != "none" and self.loss == "dice":
            raise ValueError(
                "class_weights is for cross entropy, but loss is dice, in which all classes have the same weight"
            )
        return self

    def options(self) -> dict[str, Any]:
        """Return the network's options as keyword arguments of `models.segmenters.build_segmenter`."""
        return {name: getattr(self, name) for name in _OPTIONS}

    @classmethod
    def missing(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Yield a pyramid over a published network where nothing is said of the network."""
        if not written.keys() & {"architecture", *_OPTIONS}:
            yield "architecture", _PYRAMID, "takes a backbone with published weights"
            yield "backbone", NETWORK, WHY_NETWORK
