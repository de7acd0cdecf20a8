"""Which precision and layout train fastest on a CPU: a rule fitted to the times in `bench/results/numerics.json`."""

from __future__ import annotations

from dataclasses import dataclass

# Between the cases of the table on either side, which are named.
_LARGE_MATRIX = 10_000_000  # products of matrices per layer and step: test_vit 7.6 million; mlp, batch 256: 12.9
_DENSE_ENOUGH = 100  # products per value with depthwise convolutions: EfficientNet-Lite0 57; ConvNeXt 144
_CONVOLUTIONS = 0.2  # their share of all products: test_vit 0.17; Faster R-CNN 0.35
_VALUES_PER_WEIGHT = 0.4  # values of a step: ResNet-18, 64 px, batch 8: 0.15; batch 32: 0.58


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
    return "bf16" if bf16_is_faster(work, batch, native) else "32", channels_last_is_faster(work, batch)


def bf16_is_faster(work: Work, batch: int, native: bool) -> bool:
    """Return whether a step in bf16, with the faster layout, takes less time than in float32.

    Emulated, bf16 is slower everywhere. Native, it is faster where much is multiplied for each value that is cast and
    written: not in convolutions of each channel by itself and the narrow ones around them, nor in small matrices.
    """
    if not native:
        return False
    if work.linear > work.dense + work.depthwise:
        return work.linear * batch / work.calls >= _LARGE_MATRIX
    return not work.depthwise or _products(work) >= _DENSE_ENOUGH * work.values


def channels_last_is_faster(work: Work, batch: int) -> bool:
    """Return whether a step in channels-last takes less time than contiguous.

    It is where convolutions are a good part of the work, unless there are many weights for few values, as in the last
    stages of a ResNet on small images: then the gradients of the weights, which are put into another order, prevail.
    """
    mostly_linear = work.dense + work.depthwise < _CONVOLUTIONS * _products(work)
    return not mostly_linear and work.values * batch >= _VALUES_PER_WEIGHT * work.weights


def _products(work: Work) -> int:
    return work.dense + work.depthwise + work.linear
