"""Which precision and layout train fastest on a CPU: a rule fitted to the times in `bench/results/numerics.json`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Where the rule changes its answer; `python -m bench.numerics_fit` finds them, the cases on either side are named.

    Attributes:
        large_matrix: products of matrices per layer and step, from which bf16 pays: test_vit has 7.6 million; the
            `mlp` at batch 256 has 12.9.
        dense_enough: the same of products per value, with depthwise convolutions: EfficientNet-Lite0 57; ConvNeXt 144.
        convolutions: share of them in all products, from which channels-last pays: test_vit 0.17; Faster R-CNN 0.35.
        values_per_weight: the same of values in a step per weight: ResNet-18 at 64 px, batch 8, 0.15; batch 32, 0.58.
    """

    large_matrix: float = 10_000_000
    dense_enough: float = 100
    convolutions: float = 0.25
    values_per_weight: float = 0.4


BOUNDS = Bounds()


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

    @property
    def products(self) -> int:
        """Multiplications of all layers."""
        return self.dense + self.depthwise + self.linear


def fastest(work: Work, batch: int, native: bool, bounds: Bounds = BOUNDS) -> tuple[str, bool]:
    """Return precision and whether channels-last, where both are free.

    Args:
        work: for one image.
        batch: images per step.
        native: whether the processor multiplies bf16 itself.
        bounds: of the rule.
    """
    precision = "bf16" if bf16_is_faster(work, batch, native, bounds) else "32"
    return precision, channels_last_is_faster(work, batch, bounds)


def bf16_is_faster(work: Work, batch: int, native: bool, bounds: Bounds = BOUNDS) -> bool:
    """Return whether a step in bf16, with the faster layout, takes less time than in float32.

    Emulated, bf16 is slower everywhere. Native, it is faster where much is multiplied for each value that is cast and
    written: not in convolutions of each channel by itself and the narrow ones around them, nor in small matrices.
    """
    if not native or not work.calls:
        return False
    if work.linear > work.dense + work.depthwise:
        return work.linear * batch / work.calls >= bounds.large_matrix
    return not work.depthwise or work.products >= bounds.dense_enough * work.values


def channels_last_is_faster(work: Work, batch: int, bounds: Bounds = BOUNDS) -> bool:
    """Return whether a step in channels-last takes less time than contiguous.

    It is where convolutions are a good part of the work, unless there are many weights for few values, as in the last
    stages of a ResNet on small images: then the gradients of the weights, which are put into another order, prevail.
    """
    if work.dense + work.depthwise <= bounds.convolutions * work.products:
        return False
    return work.values * batch >= bounds.values_per_weight * work.weights
