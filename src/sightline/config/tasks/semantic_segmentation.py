"""`task: {kind: semantic_segmentation}`: one class per pixel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sightline.config.base import PositiveInt, Section

_NETWORKS = ("full_resolution", "fcn", "segnet", "unet")
_MOST_HALVINGS = 6


class SemanticSegmentation(Section):
    """One class per pixel; pixels of value 255 are neither learnt nor scored."""

    kind: Literal["semantic_segmentation"]
    architecture: str = Field(
        "unet",
        pattern=rf"^({'|'.join(_NETWORKS)}|smp:[A-Za-z0-9]+)$",
        description=f"{', '.join(_NETWORKS)}, or smp:NAME of segmentation-models-pytorch, e.g. smp:Unet",
    )
    backbone: Annotated[str, Field(pattern=r"^(timm:[A-Za-z0-9_.]+|smp:[A-Za-z0-9_-]+)$")] | None = Field(
        None, description="encoder of smp:NAME: timm:NAME, or smp:NAME of the library's own"
    )
    width: PositiveInt | None = Field(None, description="maps of the finest stage; null: 16")
    depth: Annotated[int, Field(ge=1, le=32)] | None = Field(
        None, description="how often the sides are halved, or the layers of full_resolution; null: the network's own"
    )
    upsampling: Literal["nearest", "transposed"] | None = Field(None, description="of unet; null: nearest")
    stride: Literal[1, 2, 4] | None = Field(
        None, description="side of the squares of pixels that a network takes as one; 2 costs a quarter of 1"
    )
    loss: Literal["cross_entropy", "dice", "focal", "cross_entropy_dice"] = "cross_entropy"
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: each class counts the same in cross entropy, whatever its number of pixels"
    )

    @model_validator(mode="after")
    def _options_fit(self) -> SemanticSegmentation:
        library = self.architecture.startswith("smp:")
        if library and self.backbone is None:
            raise ValueError(f"architecture: {self.architecture} needs a backbone, e.g. timm:resnet18")
        if not library and self.backbone is not None:
            raise ValueError(f"backbone: {self.backbone}: {self.architecture} has its own layers; use smp:Unet")
        if library and self.stride is not None:
            raise ValueError(f"stride is for {', '.join(_NETWORKS)}, but architecture is {self.architecture}")
        if self.upsampling is not None and self.architecture != "unet":
            raise ValueError(f"upsampling is for unet, but architecture is {self.architecture}")
        if self.depth is not None and self.architecture == "fcn":
            raise ValueError("depth: fcn always has 5 stages; leave it out")
        if self.depth is not None and self.depth > _MOST_HALVINGS and self.architecture != "full_resolution":
            raise ValueError(f"depth: {self.architecture} can halve {_MOST_HALVINGS} times at most, got {self.depth}")
        if self.class_weights != "none" and self.loss == "dice":
            raise ValueError("class_weights is for cross entropy, but loss is dice, in which classes count the same")
        return self

    def options(self) -> dict[str, Any]:
        """Return the network's options as keyword arguments of `models.segmenters.build_segmenter`."""
        return {name: getattr(self, name) for name in ("backbone", "width", "depth", "upsampling", "stride")}
