"""What names and numbers of evaluations are called on a page."""

from __future__ import annotations

import math
from typing import Any

from sightline.config.metrics import OF_ONE

# Metrics by their names in metrics.json, without a prefix such as mask_: their title, and what they measure.
METRICS: dict[str, tuple[str, str]] = {
    "accuracy": ("accuracy", "share of images classified correctly"),
    "auroc": ("AUROC", "chance that a defective image has a higher score than a good one"),
    "balanced_accuracy": ("balanced accuracy", "mean of the classes' recalls"),
    "calibration_error": ("calibration error", "difference between confidence and accuracy; 0 is best"),
    "character_error_rate": ("character error rate", "characters to be changed, over those that are there; 0 is best"),
    "class_accuracy": ("class right", "share of images classified correctly"),
    "dice": ("Dice", "mean over classes of twice the overlap over both areas"),
    "exact_match": ("exact matches", "share of images with exactly the right classes, or the right text"),
    "false_alarms": ("false alarms", "share of good images called defective; 0 is best"),
    "localization_accuracy": ("class and box right", "class right and IoU at least 0.5"),
    "log_loss": ("log loss", "mean of -log of the true class's probability; 0 is best"),
    "macro_f1": ("macro F1", "mean of the classes' F1"),
    "mAP": ("mAP", "mean average precision at IoU 0.5 to 0.95"),
    "mAP50": ("mAP50", "mean average precision at IoU 0.5"),
    "mAP75": ("mAP75", "mean average precision at IoU 0.75"),
    "mAP_small": ("mAP of small objects", "below 32 x 32 pixels"),
    "mAP_medium": ("mAP of medium objects", "32 x 32 to 96 x 96 pixels"),
    "mAP_large": ("mAP of large objects", "above 96 x 96 pixels"),
    "mAR": ("mAR", "mean recall at IoU 0.5 to 0.95"),
    "mae": ("mean absolute error", "in the unit of the values; 0 is best"),
    "mean_average_precision": ("mean average precision", "over classes"),
    "mean_error": ("mean distance", "between predicted and true points, pixels; 0 is best"),
    "mean_iou": ("mean box IoU", "intersection over union of the predicted and the true box"),
    "micro_f1": ("micro F1", "F1 over all labels"),
    "mIoU": ("mIoU", "mean over classes of intersection over union"),
    "missed": ("missed", "share of defective images called good; 0 is best"),
    "mse": ("mean squared error", "of pixels; 0 is best"),
    "oks_ap": ("OKS AP", "average precision by key point similarity from 0.5 to 0.95"),
    "oks_ap50": ("OKS AP50", "average precision at a key point similarity of 0.5"),
    "pck": ("PCK at 0.2", "share of points within a fifth of the torso's length"),
    "pixel_accuracy": ("pixel accuracy", "share of pixels classified correctly"),
    "pixel_auroc": ("pixel AUROC", "chance that a defective pixel has a higher score than a good one"),
    "pro": ("PRO", "overlap with single defects, up to 30 % of good pixels called defective"),
    "loss_reduction": (
        "loss reduction",
        "share of a photograph's loss that its pictures have lost; 0 if unchanged",
    ),
    "content_distance": ("content distance", "of pictures from their photograph in the loss network, relative to it"),
    "style_distance": ("style distance", "of pictures from their painting in the loss network, relative to it"),
    "psnr": ("PSNR", "peak signal-to-noise ratio, dB"),
    "r2": ("R2", "share of the variance explained"),
    "rmse": ("root mean squared error", "in the unit of the values; 0 is best"),
    "ssim": ("SSIM", "structural similarity of the images"),
    "top5": ("top 5", "share of images whose class is among the five most confident"),
}
# The same of single classes, where it is no other: recall_of_defect.
SINGLE: dict[str, tuple[str, str]] = {
    "AP": ("AP", "average precision of this class at IoU 0.5 to 0.95"),
    "AP50": ("AP50", "average precision of this class at IoU 0.5"),
    "average_precision": ("average precision", "of this class"),
    "dice": ("Dice", "twice the overlap of this class over both areas"),
    "f1": ("F1", "of this class"),
    "iou": ("IoU", "intersection over union of this class"),
    "precision": ("precision", "share of predictions of this class that are right"),
    "recall": ("recall", "share of this class that is found"),
}
DASH = "\N{EN DASH}"  # where there is not a number
_PREFIXES = ("mask_", "box_")
_WORSE, _BETTER = "\N{BLACK DOWN-POINTING TRIANGLE}", "\N{BLACK UP-POINTING TRIANGLE}"
VERDICTS = {
    "worse": f"{_WORSE} worse than all",
    "better": f"{_BETTER} better than all",
    "alike": "like all",
    "few": "too few to judge",
    "unmeasured": "nothing to measure",
}


def metric_title(name: str) -> str:
    """Return what a metric is called."""
    metric, of, one = name.partition(OF_ONE)
    if of:
        return f"{_single(metric)[0]} of {one}"
    prefix, bare = _divided(name)
    return f"{METRICS[bare][0]}{prefix}" if bare in METRICS else name.replace("_", " ").replace(".", ", ")


def metric_words(name: str) -> str:
    """Return what a metric measures, "" if this is not known."""
    metric, of, _ = name.partition(OF_ONE)
    if of:
        return _single(metric)[1]
    bare = _divided(name)[1]
    return METRICS[bare][1] if bare in METRICS else ""


def _single(metric: str) -> tuple[str, str]:
    """Return title and words of a metric of one class or value."""
    prefix, bare = _divided(metric)
    title, words = SINGLE.get(bare) or METRICS.get(bare) or (bare.replace("_", " "), "")
    return f"{title}{prefix}", words


def column_title(name: str) -> str:
    """Return what a column of a table is called."""
    short = {"iou": "IoU", "dice": "Dice", "f1": "F1", "mae": "mean error", "rmse": "RMSE", "r2": "R2", "pck": "PCK"}
    return short.get(name, name.replace("_", " "))


def _divided(name: str) -> tuple[str, str]:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return f", {prefix.removesuffix('_')}", name.removeprefix(prefix)
    return "", name


def task_words(kind: str) -> str:
    """Return the kind of a task as words."""
    return kind.replace("_", " ")


def number(value: Any) -> str:
    """Return a number with three decimals, or three figures where it is large; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def interval(low: float | None, high: float | None) -> str:
    """Return the ends of an interval; a dash where there are none."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return DASH
    return f"{number(low)} to {number(high)}"
