"""`task: {kind: autoencoder}`: an image through a short code and back."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.config.base import PositiveInt, TaskSection
from sightline.config.network import VIEWS, Views

DENSE_HIDDEN = (512, 128)


class Autoencoder(TaskSection):
    """An image through a short code and back; it needs no labels."""

    default_size: ClassVar[tuple[int, str]] = (64, "enough for a short code")
    default_augment: ClassVar[tuple[str, str]] = ("none", "it learns the image as it is")
    kind: Literal["autoencoder"]
    views: Views = Field("one", description=VIEWS)
    architecture: Literal["conv_autoencoder", "dense_autoencoder"] = Field(
        "conv_autoencoder", description="convolutional or fully connected"
    )
    code: PositiveInt = Field(32, description="length of the code")
    width: PositiveInt | None = Field(None, description="maps of conv_autoencoder's first layer; null: 16")
    depth: Annotated[int, Field(ge=1, le=6)] | None = Field(
        None, description="number of times conv_autoencoder halves the sides; null: 3"
    )
    hidden: list[PositiveInt] | None = Field(
        None, description="units of dense_autoencoder's layers before the code, mirrored after it; null: [512, 128]"
    )
    noise: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0,
        description="standard deviation of the noise added to training images, white = 1; the target "
        "is the clean image",
    )
    masking: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of a training image's pixels that are set to 0; layer by layer, of each layer's input"
    )
    order: Literal["together", "layers", "layers_then_together"] = Field(
        "together",
        description="layers: dense_autoencoder learns layer by layer from the input on, for equal shares of the "
        "epochs; layers_then_together: and all layers at last",
    )
    loss: Literal["mse", "bce"] = Field("mse", description="squared error, or cross entropy of grey levels")

    @model_validator(mode="after")
    def _options_fit(self) -> Autoencoder:
        for field, network in (
            ("width", "conv_autoencoder"),
            ("depth", "conv_autoencoder"),
            ("hidden", "dense_autoencoder"),
        ):
            if getattr(self, field) is not None and self.architecture != network:
                raise ValueError(f"{field} is for {network}, but architecture is {self.architecture}")
        if self.order != "together" and self.architecture != "dense_autoencoder":
            raise ValueError(f"order: {self.order} is for dense_autoencoder, but architecture is {self.architecture}")
        return self

    def phases(self) -> int:
        """Return the parts of a training in which different layers learn."""
        layers = len(self.hidden or DENSE_HIDDEN) + 1
        return {"together": 1, "layers": layers, "layers_then_together": layers + 1}[self.order]

    def options(self) -> dict[str, Any]:
        """Return the network's options as keyword arguments of `models.autoencoders.autoencoder_network`."""
        return {name: getattr(self, name) for name in ("code", "width", "depth", "hidden")}
