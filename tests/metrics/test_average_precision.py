"""Detection metrics against pycocotools, resampling against a loop that repeats images."""

import contextlib
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightline.data.encoding import encode_rle
from sightline.tasks.metrics import detection, detection_tables
from sightline.tasks.metrics.by_kind import whole
from sightline.tasks.metrics.matching import Matches, joined, match
from sightline.tasks.metrics.resampling import resampled_counts

NAMES = ("ant", "bee", "cow", "dog", "elk")
NEVER_TRUE, NEVER_PREDICTED = 4, 3
Array = np.ndarray[Any, Any]


def ellipse(box: Array, height: int, width: int) -> dict[str, Any]:
    y, x = np.mgrid[:height, :width] + 0.5
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 1)
    return encode_rle(((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1)


def boxes(generator: np.random.Generator, count: int, side: int) -> Array:
    corner, sides = generator.uniform(0, side * 0.6, (count, 2)), generator.uniform(3, side * 0.7, (count, 2))
    return np.concatenate([corner, np.minimum(corner + sides, side)], 1).astype(np.float32)


def image(generator: np.random.Generator, number: int, decimals: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the truth and the predictions of one image; every fifth has no objects, every seventh no predictions."""
    side = int(generator.choice([40, 90, 180]))
    count = 0 if number % 5 == 4 else int(generator.integers(1, 7))
    true = boxes(generator, count, side)
    labels = generator.integers(0, NEVER_TRUE, count)
    seen = generator.random(count) < 0.8
    nudged = (true[seen] + generator.normal(0, side / 40, (seen.sum(), 4)).astype(np.float32)).clip(0, side)
    nudged[:, 2:] = np.maximum(nudged[:, 2:], nudged[:, :2] + 1)
    said = np.concatenate([nudged, nudged[:1], boxes(generator, 4, side)])  # some twice, some at random
    said_labels = np.concatenate([labels[seen], labels[seen][:1], generator.integers(0, 5, 4)])
    swapped = generator.random(len(said)) < 0.15
    said_labels[swapped] = generator.integers(0, 5, swapped.sum())
    scores = generator.random(len(said)).round(decimals).astype(np.float32)
    kept = (said_labels != NEVER_PREDICTED) & (number % 7 != 6)
    truth = {
        "boxes": true.tolist(),
        "box_labels": labels.tolist(),
        "iscrowd": (generator.random(count) < 0.15).tolist(),
        "instances": [ellipse(box, side, side) for box in true],
        "height": side,
        "width": side,
    }
    truth["area"] = [float(coco_masks.area(mask)) for mask in truth["instances"]]
    shapes = [ellipse(box, side, side) for box in said[kept]]
    return truth, {"boxes": said[kept], "instances": shapes, "labels": said_labels[kept], "scores": scores[kept]}


def some(count: int = 40, decimals: int = 2, seed: int = 0) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    generator = np.random.default_rng(seed)
    pairs = [image(generator, number, decimals) for number in range(count)]
    return pd.DataFrame([truth for truth, _ in pairs]), [said for _, said in pairs]


def matched(truth: pd.DataFrame, said: list[dict[str, Any]], shapes: str = "boxes") -> Matches:
    pairs = zip(said, detection.truths_of(truth, shapes), strict=True)
    return joined([match(own[shapes], own["labels"], own["scores"], true, len(NAMES)) for own, true in pairs])


def pycocotools(truth: pd.DataFrame, said: list[dict[str, Any]], shapes: str) -> COCOeval:
    def told(box: Array, mask: dict[str, Any]) -> dict[str, Any]:
        x1, y1, x2, y2 = np.asarray(box, np.float32).astype(float)
        # With both, COCO would take the area of the box for that of the mask.
        return {"segmentation": mask} if shapes == "instances" else {"bbox": [x1, y1, x2 - x1, y2 - y1]}

    annotations = [
        {"id": 0, "image_id": place + 1, "category_id": label, "iscrowd": int(crowd), "area": area, **told(box, mask)}
        for place, own in enumerate(truth.to_dict("records"))
        for box, mask, label, crowd, area in zip(
            own["boxes"], own["instances"], own["box_labels"], own["iscrowd"], own["area"], strict=True
        )
    ]
    for number, annotation in enumerate(annotations, start=1):  # an id of 0 would count as no match
        annotation["id"] = number
    results = [
        {"image_id": place + 1, "category_id": int(label), "score": float(score), **told(box, mask)}
        for place, own in enumerate(said)
        for box, mask, label, score in zip(own["boxes"], own["instances"], own["labels"], own["scores"], strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [
                {"id": place + 1, "height": h, "width": w}
                for place, (h, w) in enumerate(zip(truth["height"], truth["width"], strict=True))
            ],
            "annotations": annotations,
            "categories": [{"id": label, "name": name} for label, name in enumerate(NAMES)],
        }
        coco.createIndex()
        oracle = COCOeval(coco, coco.loadRes(results), "segm" if shapes == "instances" else "bbox")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    return oracle


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shapes", ["boxes", "instances"])
def test_values_are_those_of_pycocotools(shapes: str, seed: int) -> None:
    truth, said = some(seed=seed)
    values, of_classes = detection.summary(matched(truth, said, shapes))
    oracle = pycocotools(truth, said, shapes)
    names = ("mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large")
    for name, theirs in zip(names, oracle.stats[:6], strict=True):
        assert values.get(name, -1) == pytest.approx(theirs, abs=1e-9), name
    assert values["mAR"] == pytest.approx(oracle.stats[8], abs=1e-9)
    precision = oracle.eval["precision"][:, :, :, 0, 2]  # overlaps x recalls x classes
    table = detection_tables.per_class(NAMES, of_classes).set_index("class")
    assert table.index.tolist() == list(NAMES)
    for label, name in enumerate(NAMES[:NEVER_TRUE]):
        assert table.loc[name, "AP"] == pytest.approx(precision[:, :, label].mean(), abs=1e-9)
    assert table.loc[NAMES[NEVER_TRUE], ["AP", "AP50", "f1"]].isna().all()
    assert table.loc[NAMES[NEVER_PREDICTED], "AP"] == 0
    curve = detection_tables.precision_recall(NAMES, of_classes)
    np.testing.assert_allclose(curve["precision"], precision[0, :, :NEVER_TRUE].T.ravel(), atol=1e-12)
    np.testing.assert_allclose(curve["score"], oracle.eval["scores"][0, :, :NEVER_TRUE, 0, 2].T.ravel(), atol=1e-7)


def resampled(rows: pd.DataFrame, counts: Any, prefix: str = "") -> dict[str, Any]:
    metrics = whole(detection.metrics_of_rows(rows, NAMES, prefix))
    return {name: metric(counts) for name, metric in metrics.items()}


def test_the_score_of_an_image_is_its_f1() -> None:
    truth, said = some()
    matches = matched(truth, said)
    thresholds = np.full(len(NAMES), 0.5)
    scores = detection_tables.f1_of_images(matches, thresholds)
    for number, own in enumerate(scores):
        sure = matches.scores[matches.images == number] >= 0.5
        hits = (matches.found[0, 0][matches.images == number] & sure).sum()
        claims = (~matches.ignored[0, 0][matches.images == number] & sure).sum()
        both = claims + matches.truths[0, number].sum()
        assert own == pytest.approx(2 * hits / both if both else 1.0)
    assert len(set(scores)) > 5


def test_the_average_precision_of_a_class_is_that_of_the_table() -> None:
    truth, said = some()
    matches = matched(truth, said)
    table = detection_tables.per_class(NAMES, detection.summary(matches)[1]).set_index("class")
    rows = pd.DataFrame(detection.match_columns(matches))
    metrics = detection.metrics_of_rows(rows, NAMES)
    for name in NAMES:
        for column in ("AP50", "AP"):
            found = metrics[f"{column}_of_{name}"](np.ones((1, len(truth)), np.float32))[0]
            assert found == pytest.approx(table.loc[name, column], abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("shapes", ["boxes", "instances"])
def test_resampling_equals_a_loop_that_repeats_images(shapes: str) -> None:
    truth, said = some(30, decimals=7)
    for own in said:  # ties between images, none within
        own["scores"] = np.round(own["scores"] * 5) / 5 - np.arange(len(own["scores"]), dtype=np.float32) / 1000
    rows = pd.DataFrame(detection.match_columns(matched(truth, said, shapes), "box_"))
    counts = np.concatenate(list(resampled_counts(30, 12)))
    counts[0] = np.arange(30) == 4  # an image without objects, alone
    fast = resampled(rows, counts, "box_")
    for place, drawn in enumerate(counts.astype(int)):
        again = np.repeat(np.arange(30), drawn)
        values, _ = detection.summary(matched(truth.iloc[again], [said[number] for number in again], shapes))
        assert fast["box_mAP50"][place] == pytest.approx(values["mAP50"], abs=1e-6)
        assert fast["box_mAP"][place] == pytest.approx(values["mAP"], abs=1e-6)


def test_rows_keep_what_resampling_needs_in_parquet(tmp_path: Any) -> None:
    truth, said = some()
    matches = matched(truth, said)
    pd.DataFrame(detection.match_columns(matches)).to_parquet(tmp_path / "rows.parquet")
    once = resampled(pd.read_parquet(tmp_path / "rows.parquet"), np.ones((1, len(truth)), np.float32))
    values, _ = detection.summary(matches)
    assert once["mAP50"][0] == pytest.approx(values["mAP50"], abs=1e-6)
    assert once["mAP"][0] == pytest.approx(values["mAP"], abs=1e-6)


def one_image(difficult: list[bool], said: list[list[float]], scores: list[float]) -> tuple[float, Matches]:
    truth = pd.DataFrame(
        {
            "boxes": [[[0, 0, 10, 10], [20, 20, 30, 30]]],
            "box_labels": [[0, 0]],
            "difficult": [difficult],
        }
    )
    own = {"boxes": np.array(said, np.float32), "labels": [0] * len(said), "scores": np.array(scores, np.float32)}
    matches = matched(truth, [own])
    return detection.summary(matches)[0]["mAP50"], matches


def test_difficult_objects_are_neither_right_nor_wrong_nor_missed() -> None:
    hard, easy = [0, 0, 10, 10], [20, 20, 30, 30]
    precision, matches = one_image([True, False], [hard, hard, easy], [0.9, 0.8, 0.7])
    assert precision == 1
    assert matches.ignored[0, 0].tolist() == [True, True, False], "as often as they are found, as by VOC"
    assert one_image([False, False], [hard, hard, easy], [0.9, 0.8, 0.7])[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert one_image([True, True], [hard], [0.9])[0] == 0


def test_without_predictions_or_objects_all_is_zero() -> None:
    empty = {"boxes": np.zeros((0, 4), np.float32), "labels": [], "scores": np.zeros(0, np.float32)}
    truth = pd.DataFrame({"boxes": [None, [[0, 0, 5, 5]]], "box_labels": [None, [1]]})
    for rows, said in ((truth, [empty, empty]), (truth.iloc[:1], [empty])):
        matches = matched(rows, said)
        values, of_classes = detection.summary(matches)
        assert set(values.values()) == {0.0}
        columns = pd.DataFrame(detection.match_columns(matches))
        assert resampled(columns, np.ones((2, len(rows)), np.float32))["mAP50"].tolist() == [0, 0]
        detection_tables.per_class(NAMES, of_classes)
        detection_tables.precision_recall(NAMES, of_classes)


def test_the_best_f1_is_that_of_a_search() -> None:
    matches = matched(*some())
    of_classes = detection.summary(matches)[1]
    for own, _ in of_classes[:NEVER_PREDICTED]:
        precision, recall, f1, threshold = detection_tables.best_f1(own)
        searched = []
        for at in np.unique(own.scores):
            said = own.scores >= at
            hits, claims = (own.found[0] & said).sum(), (~own.ignored[0] & said).sum()
            searched.append(2 * hits / (claims + own.truths.sum()))
        assert f1 == pytest.approx(max(searched))
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
        assert np.unique(own.scores)[np.argmax(searched[::-1]) * -1 - 1] == threshold


def test_images_are_told_in_a_few_words() -> None:
    matches = one_image([False, False], [[0, 0, 10, 10], [5, 5, 9, 9]], [0.9, 0.2])[1]
    assert detection_tables.told(NAMES, matches, np.full(5, 0.5)) == ["2 x ant → ant"]
    assert detection_tables.told(NAMES, matches, np.full(5, 0.95)) == ["2 x ant → nothing"]
