"""Corrected test annotations of every kind of task: the champion is judged on the new truth, and a worse model refused.

The champion says the right thing of 80 % of the samples and the challenger of 60 %, but the old annotations of most
samples were wrong, so that the champion's own evaluation has it at 20 %.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sightline.config.evaluation import Gate
from sightline.data.structures import LabelMap
from sightline.registry.comparison import shared_samples
from sightline.registry.gate import decide
from sightline.tasks.metrics.by_kind import metrics_of

COUNT = 100
FOUND = (1 << 10) - 1
LABELS = LabelMap(("a", "b"), ("a", "b"), values=("x",))
HEADLINES = {
    "anomaly": "auroc",
    "autoencoder": "psnr",
    "classification": "accuracy",
    "detection": "mAP50",
    "instance_segmentation": "mask_mAP50",
    "keypoints": "pck",
    "localization": "mean_iou",
    "multilabel": "mean_average_precision",
    "regression": "r2",
    "semantic_segmentation": "mIoU",
    "sliding_window": "mAP50",
    "text_recognition": "character_error_rate",
    "style_network": "loss_reduction",
}


def objects(right: Any, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}object_labels": [[0]] * COUNT,
        f"{prefix}object_scores": [[0.5]] * COUNT,
        f"{prefix}found": [[FOUND * own] for own in right],
        f"{prefix}ignored": [[0]] * COUNT,
        f"{prefix}truths": [[1, 0]] * COUNT,
    }


def inspected(right: Any) -> dict[str, Any]:
    anomalous = np.arange(COUNT) // 5 % 2 == 1
    levels = np.zeros((COUNT, 512))
    return {
        "class_id": anomalous.astype(int),
        "anomalous": anomalous,
        "anomaly_score": np.where(anomalous == right, 2.0, 0.5),
        "flagged": anomalous == right,
        **{name: list(levels) for name in ("pixels_good", "pixels_defective", "defects")},
    }


def evaluation(kind: str, right: Any, truth: str) -> pd.DataFrame:  # noqa: C901 - one case per kind
    """Return rows of a model that is right on some of the samples; `truth` is told apart by a letter."""
    right = np.asarray(right, int)
    columns: dict[str, Any]
    match kind:
        case "classification":
            columns = {"label": 0, "predicted": 1 - right, "rank": 5 * (1 - right)}
        case "multilabel":
            label = np.arange(COUNT) // 5 % 2
            said = np.where(right, label, 1 - label)
            lists = {"labels": label[:, None].tolist(), "predicted_labels": said[:, None].tolist()}
            columns = lists | {"probabilities": list(np.eye(2, dtype=np.float32)[said])}
        case "regression":
            values = np.linspace(-1, 1, COUNT)
            columns = {
                "values": [[own] for own in values],
                "predicted_values": [[a * b] for a, b in zip(values, right, strict=True)],
            }
        case "keypoints":
            columns = {"points": 4, "near": 4 * right, "error": 9 * (1 - right), "similarity": right, "confidence": 0.5}
        case "localization":
            columns = {"score": right * 0.8, "right_class": right, "located": right}
        case "semantic_segmentation":
            hits = [[5 * own, 5 * own] for own in right]
            columns = {"hits": hits, "actual": [[5, 5]] * COUNT, "claimed": [[5, 5]] * COUNT}
        case "anomaly":
            columns = inspected(right > 0)
        case "autoencoder":
            columns = {"psnr": 20.0 + 9 * right, "ssim": right, "mse": 1.0 - right}
        case "text_recognition":
            columns = {"characters": 4, "edits": 4 * (1 - right), "exact": right > 0}
        case "style_network":
            columns = {"loss_reduction": 0.5 + 0.4 * right, "content_distance": 1.0 - right, "style_distance": 0.5}
        case _:
            shapes = ("mask_", "box_") if kind == "instance_segmentation" else ("",)
            columns = {name: own for shape in shapes for name, own in objects(right, shape).items()}
    ids = [f"{place:03d}" for place in range(COUNT)]
    return pd.DataFrame({"id": ids, "truth": [truth] * COUNT, **columns})


@pytest.mark.parametrize("kind", HEADLINES)
def test_the_worse_model_is_refused_on_the_corrected_truth(kind: str) -> None:
    place = np.arange(COUNT)
    then = evaluation(kind, place % 5 < 1, "old")
    anew, ours = evaluation(kind, place % 5 < 4, "new"), evaluation(kind, place % 5 >= 2, "new")
    judge = partial(
        decide, metric=HEADLINES[kind], metrics_of=partial(metrics_of, kind, labels=LABELS), rules=Gate(), resamples=300
    )
    stale = judge(then.drop(columns="truth"), ours, confidence=0.95)
    assert stale.outcome == "promote", "as if nobody had looked at the truth"
    with pytest.raises(ValueError, match="different annotations"):
        judge(then, ours, confidence=0.95)
    shared = shared_samples(then, ours, frozenset)
    assert (shared.same, len(shared.changed)) == (frozenset(), COUNT)
    decision = judge(anew, ours, confidence=0.95)
    assert decision.outcome == "refuse"
    assert decision.gain < 0


def test_only_those_of_new_batches_do_not_count() -> None:
    then, now = (evaluation("regression", np.ones(COUNT), truth) for truth in ("old", "new"))
    now.loc[:59, "truth"] = "old"
    shared = shared_samples(then, now, lambda: frozenset(now["id"][90:]))
    assert shared.same == set(now["id"][:60])
    assert shared.changed == set(now["id"][60:90])
    assert shared_samples(then.drop(columns="truth"), now, frozenset).changed == set(now["id"])

    def unasked() -> frozenset[str]:
        raise AssertionError("nothing has changed")

    assert shared_samples(then, then, unasked).ids == set(then["id"])
