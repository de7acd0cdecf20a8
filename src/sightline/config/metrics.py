"""The names of metrics that `evaluation.headline` and `gate.guards` may choose, by the kind of task."""

from __future__ import annotations

from functools import cache

from sightline.config import plugins
from sightline.config.errors import ConfigError
from sightline.config.own import OwnMetric, OwnTask
from sightline.config.plugins import installed, sections
from sightline.system.errors import nearest

OF_ONE = "_of_"  # between a metric and the class, value or key point that it is of: recall_of_defect
_ERRORS = frozenset(
    {
        *("mae", "rmse", "mse", "mean_error", "log_loss", "character_error_rate", "false_alarms", "missed"),
        *("content_distance", "style_distance"),
    }
)
_SHOWN = 20  # names in an error
_BOXES = ("mAP50", "mAP"), ("AP50", "AP")
_SHAPES = tuple(tuple(f"{shape}_{name}" for shape in ("mask", "box") for name in names) for names in _BOXES)

# Kind of task -> metrics of all classes, and metrics of single ones. That these are the ones which can be resampled is
# tested: an error in params.yaml has to be reported before anything is trained, and without the imports of a network.
METRICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "classification": (
        ("accuracy", "top5", "balanced_accuracy", "macro_f1", "log_loss"),
        ("recall", "precision", "f1"),
    ),
    "multilabel": (
        ("mean_average_precision", "macro_f1", "micro_f1", "exact_match"),
        ("average_precision", "recall", "precision", "f1"),
    ),
    "regression": (("r2", "mae", "rmse"), ("r2", "mae", "rmse")),
    "detection": _BOXES,
    "sliding_window": _BOXES,
    "instance_segmentation": (_SHAPES[0], _SHAPES[1]),
    "semantic_segmentation": (("mIoU", "dice", "pixel_accuracy"), ("iou", "dice", "recall", "precision")),
    "keypoints": (("pck", "mean_error", "oks_ap", "oks_ap50"), ()),
    "localization": (("mean_iou", "class_accuracy", "localization_accuracy"), ()),
    "autoencoder": (("psnr", "ssim", "mse"), ()),
    "text_recognition": (("character_error_rate", "exact_match"), ()),
    "anomaly": (("auroc", "pixel_auroc", "pro", "false_alarms", "missed"), ("auroc", "recall")),
    "style_network": (("loss_reduction", "content_distance", "style_distance"), ()),
}


def own_metrics(kind: str) -> dict[str, OwnMetric]:
    """Return the metrics that other packages bring for a kind of task, by name.

    Raises:
        ConfigError: an entry point names something else.
    """
    found = installed(plugins.METRICS)
    for name, metric in found.items():
        if not isinstance(metric, OwnMetric):
            raise ConfigError([f"entry point {name} ({plugins.METRICS}): {metric!r} must be an OwnMetric"])
    return {name: metric for name, metric in found.items() if kind in metric.kinds}


@cache
def of_kind(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a kind's metrics: those of all classes, and those of single ones."""
    if kind not in METRICS and kind not in _own_tasks():
        raise ValueError(f"no metrics of {kind} are known")
    whole, single = METRICS.get(kind) or (_own_tasks()[kind].metrics, ())
    return (*whole, *(name for name in own_metrics(kind) if name not in whole)), single


def _own_tasks() -> dict[str, type[OwnTask]]:
    return sections(plugins.TASKS, OwnTask, "kind")


@cache
def _errors() -> frozenset[str]:
    own = {name for name, metric in installed(plugins.METRICS).items() if metric.smaller_is_better}
    return _ERRORS.union(own, *(task.errors for task in _own_tasks().values()))


def smaller_is_better(metric: str) -> bool:
    """Return whether a metric is an error."""
    return metric.split(OF_ONE, maxsplit=1)[0] in _errors()


def best_value(metric: str) -> float | None:
    """Return the value that no model can improve on, None if there is none or it is not known."""
    name = metric.split(OF_ONE, maxsplit=1)[0]
    known = {one for whole, single in METRICS.values() for one in (*whole, *single)}
    if name == "psnr" or name not in known:
        return None
    return 0.0 if smaller_is_better(metric) else 1.0


def can_measure(kind: str, metric: str) -> bool:
    """Return whether a kind of task may have a metric; which classes there are is known only from its data."""
    whole, single = of_kind(kind)
    return metric in whole or (OF_ONE in metric and metric.split(OF_ONE, maxsplit=1)[0] in single)


def known_metrics(kind: str) -> list[str]:
    """Return the names, those of single classes as `recall_of_CLASS`."""
    whole, single = of_kind(kind)
    return [*whole, *(f"{name}{OF_ONE}{'VALUE' if kind == 'regression' else 'CLASS'}" for name in single)]


def unknown_metric(metric: str, known: list[str]) -> str:
    """Return the message for an unknown metric: the nearest one, and all that there are."""
    rest = f", ... ({len(known)} in all)" if len(known) > _SHOWN else ""
    return f"no metric {metric!r}{nearest(metric, known)}; there are {', '.join(known[:_SHOWN])}{rest}"
