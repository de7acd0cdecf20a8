"""Which precision and layout train fastest on a CPU: a rule fitted to the times in `bench/results/numerics.json`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What a network computes for one image, forward.

    Attributes:
        dense: multiplications of convolutions, grouped ones included.
        depthwise: multiplications of convolutions of each channel by itself.
        linear: multiplications of matrices.
        values: results of all these layers.
        weights: of these layers, each counted once.
        calls: how often one of these layers is computed.
    """

    dense: int
    depthwise: int
    linear: int
    values: int
    weights: int
    calls: int


def fastest(work: Work, batch: int, native: bool) -> tuple[str, bool]:
    """Return precision and whether channels-last, where both are free.

    Args:
        work: for one image.
        batch: images per step.
        native: whether the processor multiplies bf16 itself.
    """
    half = bf16_is_faster(work, batch, native)
    return "bf16" if half else "32", channels_last_is_faster(work, batch, half)


def bf16_is_faster(work: Work, batch: int, native: bool) -> bool:
    """Return whether a step in bf16, with the faster layout, takes less time than in float32."""
    return native


def channels_last_is_faster(work: Work, batch: int, half: bool) -> bool:
    """Return whether a step in channels-last takes less time than contiguous."""
    return work.dense + work.depthwise > 0
