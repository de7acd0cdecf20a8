"""Chooses precision and layout by rule, never by measuring: the same machine type gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sightline.system.errors import UserError
from sightline.system.processors import usable_processors

Precision = Literal["32", "bf16", "16"]


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
    network: nn.Module, device: Literal["cpu", "cuda", "mps", "other"], precision: str, layout: str, threads: int | None
) -> Numerics:
    """Settle what `auto` leaves open.

    Convolutions, dense and depthwise, gain from bf16 where the processor multiplies it natively, and from
    channels-last; networks without convolutions, and small ones whose time is overhead, from neither.

    Raises:
        UserError: half precision (16) on a CPU.
    """
    if precision == "16" and device == "cpu":
        raise UserError("trainer.precision: 16 needs a GPU; use bf16, 32 or auto on the CPU")
    large = sum(p.numel() for p in network.parameters()) >= 1_000_000
    gains = large and any(isinstance(layer, nn.Conv2d) for layer in network.modules())
    chosen: Precision
    if precision == "auto":
        chosen = "bf16" if (gains or device != "cpu") and _has_native_bf16(device) else "32"
    else:
        chosen = precision  # type: ignore[assignment]
    channels_last = gains and device in ("cpu", "cuda") if layout == "auto" else layout == "channels_last"
    return Numerics(chosen, channels_last, threads or usable_processors())


def _has_native_bf16(device: str) -> bool:
    match device:
        case "cpu":
            flags = torch.cpu.get_capabilities()
            return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        case _:
            return False
