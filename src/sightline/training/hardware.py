"""Chooses precision and layout by rule, never by measuring: the same machine type gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sightline.system.errors import UserError
from sightline.system.processors import usable_processors
from sightline.training.speed_rule import Work, bf16_is_faster, channels_last_is_faster

Precision = Literal["32", "bf16", "16"]
Device = Literal["cpu", "cuda", "mps", "other"]
_LARGE = 1_000_000  # parameters from which a GPU gets channels-last; a guess, the rule for CPUs is measured


@dataclass(frozen=True)
class Numerics:
    """The settings that decide the last bits of a training.

    Attributes:
        precision: of the network's arithmetic; weights stay float32.
        channels_last: memory layout of images and convolutions.
        threads: CPU threads of torch.
    """

    precision: Precision
    channels_last: bool
    threads: int

    @property
    def plugin(self) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
        """The name Lightning gives the precision."""
        match self.precision:
            case "32":
                return "32-true"
            case "bf16":
                return "bf16-mixed"
            case "16":
                return "16-mixed"


def choose_numerics(
    network: nn.Module,
    device: Device,
    precision: str,
    layout: str,
    threads: int | None,
    work: Callable[[], Work],
    batch: int,
) -> Numerics:
    """Settle what `auto` leaves open: on a CPU by the rule of `speed_rule`, elsewhere by kind and size of the network.

    Args:
        network: what is trained.
        device: where.
        precision: as in the section `trainer`.
        layout: the same.
        threads: the same; None: one per core.
        work: counts what the network computes for one image; only asked where the answer decides something.
        batch: images per step on this device.

    Raises:
        UserError: half precision (16) on a CPU.
    """
    if precision == "16" and device == "cpu":
        raise UserError("trainer.precision: 16 needs a GPU; use bf16, 32 or auto on the CPU")
    chosen: Precision
    if device == "cpu":
        counted = work() if "auto" in (precision, layout) else None
        chosen = precision  # type: ignore[assignment]
        if counted is not None and precision == "auto":
            chosen = "bf16" if bf16_is_faster(counted, batch, has_native_bf16("cpu")) else "32"
        channels_last = layout == "channels_last"
        if counted is not None and layout == "auto":
            channels_last = channels_last_is_faster(counted, batch)
    else:
        large = sum(parameter.numel() for parameter in network.parameters()) >= _LARGE
        gains = large and any(isinstance(layer, nn.Conv2d) for layer in network.modules())
        native = "bf16" if has_native_bf16(device) else "32"
        chosen = native if precision == "auto" else precision  # type: ignore[assignment]
        channels_last = gains and device == "cuda" if layout == "auto" else layout == "channels_last"
    return Numerics(chosen, channels_last, threads or usable_processors())


def has_native_bf16(device: str) -> bool:
    """Return whether a device multiplies bf16 itself; emulated, it takes many times as long as float32."""
    match device:
        case "cpu":
            flags = torch.cpu.get_capabilities()
            return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        case _:
            return False
