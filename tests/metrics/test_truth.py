"""A corrected annotation of any task changes the hash of the sample's truth; another way to store the same does not."""

from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sightline.data.encoding import encode_png
from sightline.tasks.base import Task
from sightline.tasks.metrics.truth import truth_hashes

MAP = np.arange(12, dtype=np.uint8).reshape(3, 4)
TRUTH: dict[str, Any] = {
    "image": encode_png(MAP[..., None]),
    "label": 3,
    "labels": [0, 2],
    "boxes": [[0.0, 0.0, 5.0, 5.0], [2.0, 3.0, 9.0, 9.0]],
    "box_labels": [0, 1],
    "iscrowd": [False, False],
    "difficult": None,
    "area": [25.0, 42.0],
    "instances": [{"size": [9, 9], "counts": "abc"}, {"size": [9, 9], "counts": "abd"}],
    "semantic": encode_png(MAP),
    "keypoints": [[[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]],
    "values": [0.5, -1.25],
    "text": "one",
}
CORRECTED: dict[str, Any] = {
    "image": encode_png(MAP[..., None] + 1),
    "label": 2,
    "labels": [0],
    "boxes": [[0.0, 0.0, 5.0, 5.0], [2.0, 3.0, 9.0, 8.5]],
    "box_labels": [0, 0],
    "iscrowd": [False, True],
    "difficult": [True, False],
    "area": [25.0, 41.0],
    "instances": [{"size": [9, 9], "counts": "abc"}, {"size": [9, 9], "counts": "abe"}],
    "semantic": encode_png(MAP + 1),
    "keypoints": [[[1.0, 2.0, 1.0], [0.0, 0.0, 0.0]]],
    "values": [0.5, -1.2],
    "text": "ore",
}
KINDS = {
    "autoencoder": "Autoencoder",
    "classification": "Classification",
    "detection": "Detection",
    "instance_segmentation": "InstanceSegmentation",
    "keypoints": "Keypoints",
    "localization": "Localization",
    "multilabel": "Multilabel",
    "regression": "Regression",
    "semantic_segmentation": "SemanticSegmentation",
    "sliding_window": "SlidingWindow",
    "text_recognition": "TextRecognition",
    "style_network": "StyleNetwork",
}


def one(fields: list[str], **changed: Any) -> str:
    rows = pd.DataFrame({name: [value] for name, value in (TRUTH | changed).items()})
    return truth_hashes(rows, fields)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_corrected_annotation_of_a_task_is_noticed(kind: str) -> None:
    task: type[Task] = getattr(import_module(f"sightline.tasks.{kind}"), KINDS[kind])
    fields = [*task.targets, *task.truth_fields]
    assert fields
    hashes = {one(fields), *(one(fields, **{name: CORRECTED[name]}) for name in fields)}
    assert len(hashes) == len(fields) + 1
    assert one(fields) == one(list(reversed(fields)))
    for other in set(TRUTH) - set(fields):
        assert one(fields, **{other: CORRECTED[other]}) == one(fields), "the task does not read it"


def test_the_same_truth_in_another_form_has_the_same_hash() -> None:
    import cv2

    fields = ["semantic", "iscrowd", "difficult", "boxes"]
    again = bytes(cv2.imencode(".png", MAP, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1])
    assert again != TRUTH["semantic"]
    assert one(fields, semantic=again, iscrowd=None, difficult=[]) == one(fields)
    assert one(fields, boxes=None) == one(fields, boxes=[]) != one(fields)
