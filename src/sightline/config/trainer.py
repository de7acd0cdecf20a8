"""`trainer:` the defaults of training, which `models.*.trainer` overrides key by key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.base import Positive, PositiveInt, Section


class EarlyStopping(Section):
    """Stop when the validation loss has not fallen by `min_delta` for `patience` epochs."""

    patience: PositiveInt = Field(5, description="epochs without a lower validation loss")
    min_delta: Annotated[float, Field(ge=0)] = Field(0.0, description="smallest decrease of the loss that counts")


class Trainer(Section):
    """The training loop."""

    max_epochs: PositiveInt = Field(10, description="most passes over the train split")
    batch_size: PositiveInt = Field(32, description="samples per step, on all processes together")
    accumulate: PositiveInt = Field(1, description="steps whose gradients are summed before an update")
    clip_norm: Positive | None = Field(None, description="largest gradient norm; null: no clipping")
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of the exponential moving average of the weights, per step; null: none"
    )
    ema_epochs: Positive | None = Field(
        None, description="in place of ema_decay: epochs over which the average mostly reaches; null: none"
    )
    early_stopping: EarlyStopping | None = Field(None, description="when training stops before max_epochs; null: never")
    keep: Literal["best", "last"] = Field("best", description="best: the epoch with the lowest validation loss")
    freeze_epochs: Annotated[int, Field(ge=0)] = Field(0, description="epochs in which pretrained layers are frozen")
    unfreeze: Literal["at_once", "gradually"] = Field(
        "at_once",
        description="at_once: all layers after freeze_epochs; gradually: layer by layer, starting at the head",
    )
    sampling: Literal["shuffled", "balanced"] = Field(
        "shuffled", description="balanced: every class is equally frequent in each batch; samples of rare ones repeat"
    )
    batch_statistics: Literal["learn", "keep"] = Field(
        "learn",
        description="keep: batch normalisation uses the statistics of the given weights, not of each batch; a new "
        "head, which has none, learns its own",
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="auto: bf16 where it is faster on this device, by a fixed rule; 16: GPU only"
    )
    layout: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="memory layout of images; auto: channels_last where it is faster, by a fixed rule"
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = Field(
        "auto", description="device type; auto: the fastest available"
    )
    devices: Literal["auto"] | PositiveInt | list[int] = Field(
        "auto", description="number of devices, or a list of their numbers; auto: all"
    )
    strategy: Literal["auto", "ddp"] = Field(
        "auto", description="ddp: every process holds the whole network; auto: ddp for several processes"
    )
    num_nodes: PositiveInt = Field(1, description="number of machines that train together")
    num_workers: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="loader processes; 0 is fastest for small images; does not change the result"
    )
    threads: PositiveInt | None = Field(
        None,
        description="CPU threads of torch; null: one per core. A different number changes results in the last bits",
    )

    @model_validator(mode="after")
    def _one_average(self) -> Trainer:
        if self.ema_decay is not None and self.ema_epochs is not None:
            raise ValueError("ema_decay and ema_epochs are two units of the same; set one of them")
        return self
