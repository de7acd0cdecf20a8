"""Overlap of maps against slow loops and torchmetrics; shares and resampling against repeated images."""

from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

from sightline.tasks.metrics.segmentation import Overlap, confusion, overlap_of, stacked

CLASSES = 5
Array = np.ndarray[Any, Any]


def some(count: int = 12, seed: int = 0) -> tuple[Array, Array]:
    """N x 9 x 7 maps; class 3 is only in predictions, class 4 nowhere, and some pixels are ignored."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 255], p=[0.6, 0.2, 0.1, 0.1], size=(count, 9, 7)).astype(np.uint8)
    wrong = rng.choice([0, 1, 2, 3], size=truth.shape)
    predicted = np.where(rng.random(truth.shape) < 0.7, np.where(truth == 255, 1, truth), wrong)
    return truth, predicted.astype(np.uint8)


def overlaps(truth: Array, predicted: Array) -> Overlap:
    return stacked([overlap_of(confusion(t, p, CLASSES)) for t, p in zip(truth, predicted, strict=True)])


def slow_iou(truth: Array, predicted: Array) -> dict[int, float]:
    """IoU of each class that is somewhere, pixel by pixel."""
    found = {}
    for k in range(CLASSES):
        both = either = 0
        for t, p in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
            if t != 255:
                both += t == k and p == k
                either += k in (t, p)
        if either:
            found[k] = both / either
    return found


def test_overlap_is_that_of_a_slow_loop_and_of_torchmetrics() -> None:
    truth, predicted = some()
    total = overlaps(truth, predicted).summed()
    slow = slow_iou(truth, predicted)
    assert set(slow) == {0, 1, 2, 3}
    for k, value in slow.items():
        assert total.iou[k] == pytest.approx(value)
    assert np.isnan(total.iou[4])
    assert total.mean_iou == pytest.approx(np.mean(list(slow.values())))
    said, true = torch.from_numpy(predicted).long(), torch.from_numpy(truth).long()
    expected = multiclass_jaccard_index(said, true, CLASSES, average="none", ignore_index=255)
    np.testing.assert_allclose(np.nan_to_num(total.iou), expected, rtol=1e-6)
    micro = multiclass_accuracy(said, true, CLASSES, average="micro", ignore_index=255)
    assert total.pixel_accuracy == pytest.approx(float(micro))
    counted = true != 255
    dice = dice_score(said[counted][None], true[counted][None], CLASSES, True, average="none", input_format="index")
    np.testing.assert_allclose(total.dice[:4], dice[0, :4], rtol=1e-6)


def test_pixels_without_truth_never_count() -> None:
    truth = np.array([[0, 255], [1, 255]], np.uint8)
    assert confusion(truth, np.array([[0, 1], [1, 0]], np.uint8), 2).tolist() == [[1, 0], [0, 1]]
    nothing = overlaps(np.full((2, 3, 3), 255, np.uint8), np.zeros((2, 3, 3), np.uint8))
    assert nothing.summed().mean_iou == 0
    assert nothing.summed().pixel_accuracy == 0


def test_resampling_equals_repeated_images() -> None:
    truth, predicted = some()
    images = overlaps(truth, predicted)
    samples = np.random.default_rng(2).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=10)
    fast = images.resampled(samples.astype(np.float32))
    for row, drawn in enumerate(samples):
        again = np.repeat(np.arange(len(truth)), drawn)
        slow = overlaps(truth[again], predicted[again]).summed()
        assert fast.mean_iou[row] == pytest.approx(slow.mean_iou)
        assert fast.mean_dice[row] == pytest.approx(slow.mean_dice)
        assert fast.pixel_accuracy[row] == pytest.approx(slow.pixel_accuracy)
