"""`trainer:` the defaults of training, which `models.*.trainer` overrides key by key."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sightline.config.base import Positive, PositiveInt, Section


class EarlyStopping(Section):
    """Stop when the validation loss has not fallen by `min_delta` for `patience` epochs."""

    patience: PositiveInt = Field(5, description="epochs without a lower validation loss")
    min_delta: Annotated[float, Field(ge=0)] = Field(0.0, description="least fall of the loss that counts")


class Trainer(Section):
    """The training loop."""

    max_epochs: PositiveInt = Field(10, description="passes over the train split, at most")
    batch_size: PositiveInt = Field(32, description="samples per step, on all processes together")
    accumulate: PositiveInt = Field(1, description="steps whose gradients are summed before an update")
    clip_norm: Positive | None = Field(None, description="largest gradient norm; null: no clipping")
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of the exponential moving average of the weights, per step; null: none"
    )
    early_stopping: EarlyStopping | None = Field(None, description="when training stops before max_epochs; null: never")
    keep: Literal["best", "last"] = Field("best", description="best: the epoch of least validation loss")
    freeze_epochs: Annotated[int, Field(ge=0)] = Field(0, description="epochs before all layers learn")
    unfreeze: Literal["at_once", "gradually"] = Field(
        "at_once", description="at_once: only the head learns before; gradually: layers join it from the top"
    )
    sampling: Literal["shuffled", "balanced"] = Field(
        "shuffled", description="balanced: every class is equally frequent in each batch; rare ones repeat"
    )
    batch_statistics: Literal["learn", "keep"] = Field(
        "learn", description="keep: batch normalisation uses the statistics of the given weights, not of each batch"
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="auto: bf16 where device and network gain from it, by a fixed rule; 16: GPU only"
    )
    layout: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="of images in memory; auto: channels_last where the network gains from it, by a fixed rule"
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = Field(
        "auto", description="what trains; auto: the best here"
    )
    devices: Literal["auto"] | PositiveInt | list[int] = Field(
        "auto", description="number of devices, or a list of theirs; auto: all there are"
    )
    strategy: str = Field("auto", description="any strategy name of Lightning: auto, ddp, fsdp, ...")
    num_nodes: PositiveInt = Field(1, description="machines that train together")
    num_workers: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="loader processes; 0 is fastest where images are small; never changes the result"
    )
    threads: PositiveInt | None = Field(
        None, description="CPU threads of torch; null: one per core. Another number gives other last bits"
    )
