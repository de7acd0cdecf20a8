"""COCO's metrics and their bootstrap against pycocotools: `python -m bench.mean_average_precision`.

5,000 images of 100 predicted and 7 true boxes on average, 80 classes, as in COCO's validation set. Once: ours matches
and gives all metrics and the table per class; pycocotools evaluates, accumulates and summarizes. Bootstrap: mAP and
mAP50 of 2,000 draws from the matches, which both keep; pycocotools accumulates a few draws, for objects of all sizes
alone, and its time is scaled to 2,000. All values must agree to 1e-6.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.pairs import Run, take_turns, timed
from bench.report import Report, parsed, parser
from sightline.data.structures import FLOAT32
from sightline.tasks.metrics import detection
from sightline.tasks.metrics.detection_tables import per_class
from sightline.tasks.metrics.matching import Matches, joined, match
from sightline.tasks.metrics.resampling import resampled_counts

CLASSES, PREDICTED, TRUE, SIDE = 80, 100, 7, 640.0
Said = tuple[FLOAT32, NDArray[np.int64], FLOAT32]  # boxes, labels, scores of one image
_NAMES = [f"class {number}" for number in range(CLASSES)]
_DRAWS = 2  # that pycocotools accumulates in each round


def generated(images: int) -> tuple[pd.DataFrame, list[Said]]:
    """Return true objects and predictions: most true ones are found, near their place; the rest is at random."""
    random = np.random.default_rng(0)
    truth, said = [], []
    for _ in range(images):
        count = int(random.integers(1, 2 * TRUE))
        true, labels = _boxes(random, count), random.integers(0, CLASSES, count)
        near = (true + random.normal(0, 4, true.shape)).clip(0, SIDE).astype(np.float32)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        boxes = np.concatenate([near, _boxes(random, PREDICTED - count)])
        kinds = np.concatenate([labels, random.integers(0, CLASSES, PREDICTED - count)])
        areas = (true[:, 2:] - true[:, :2]).astype(np.float64).prod(1)
        truth.append({"boxes": true.tolist(), "box_labels": labels.tolist(), "area": areas.tolist()})
        said.append((boxes, kinds, random.random(PREDICTED).astype(np.float32)))
    return pd.DataFrame(truth), said


def _boxes(random: np.random.Generator, count: int) -> FLOAT32:
    corner, sides = random.uniform(0, SIDE * 0.7, (count, 2)), random.uniform(8, SIDE * 0.3, (count, 2))
    return np.concatenate([corner, corner + sides], 1).astype(np.float32)


def ours(truth: pd.DataFrame, said: Sequence[Said]) -> tuple[dict[str, float], Matches]:
    """Return the metrics and the matches."""
    pairs = zip(said, detection.truths_of(truth, "boxes"), strict=True)
    matches = joined([match(boxes, labels.tolist(), scores, true, CLASSES) for (boxes, labels, scores), true in pairs])
    values, of_classes = detection.summary(matches)
    per_class(_NAMES, of_classes)
    return values, matches


def _rows(boxes: Any) -> list[list[float]]:
    wide = np.asarray(boxes, np.float32).astype(float)
    return np.concatenate([wide[:, :2], wide[:, 2:] - wide[:, :2]], 1).tolist()  # type: ignore[no-any-return]


def as_coco(truth: pd.DataFrame, said: Sequence[Said]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what pycocotools takes; that it is made of arrays is not timed."""
    annotations = [
        {"image_id": place, "category_id": label, "iscrowd": 0, "area": area, "bbox": box}
        for place, own in enumerate(truth.to_dict("records"), 1)
        for box, label, area in zip(_rows(own["boxes"]), own["box_labels"], own["area"], strict=True)
    ]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    results = [
        {"image_id": place, "category_id": label, "score": score, "bbox": box}
        for place, (boxes, labels, scores) in enumerate(said, 1)
        for box, label, score in zip(_rows(boxes), labels.tolist(), scores.astype(float).tolist(), strict=True)
    ]
    images = [{"id": place, "height": int(SIDE), "width": int(SIDE)} for place in range(1, len(said) + 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(_NAMES)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def reference(data: dict[str, Any], results: list[dict[str, Any]]) -> tuple[float, Any]:
    """Return the seconds of pycocotools' evaluation, without its index, and the evaluation."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(StringIO()):
        coco = COCO()
        coco.dataset = data
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        began = time.perf_counter()
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return time.perf_counter() - began, evaluation


def drawn(evaluation: Any, chosen: NDArray[np.int64]) -> tuple[float, float]:
    """Return mAP and mAP50 of the images that are drawn, for objects of all sizes."""
    count, areas = len(evaluation.params.imgIds), len(evaluation._paramsEval.areaRng)
    own = copy.copy(evaluation)
    own.params, own._paramsEval = copy.copy(evaluation.params), copy.copy(evaluation._paramsEval)
    for params in (own.params, own._paramsEval):
        params.areaRng, params.maxDets = params.areaRng[:1], params.maxDets[-1:]
        params.imgIds = list(range(count))
    starts = (label * areas * count for label in range(len(own.params.catIds)))
    own.evalImgs = [evaluation.evalImgs[start + place] for start in starts for place in chosen.tolist()]
    with redirect_stdout(StringIO()):
        own.accumulate()
    precision = own.eval["precision"][:, :, :, 0, 0]
    return tuple(float(part[part > -1].mean()) for part in (precision, precision[:1]))  # type: ignore[return-value]


def bootstrap(rows: pd.DataFrame, draws: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mAP and mAP50 of each draw."""
    metrics = detection.metrics_of_rows(rows, _NAMES)
    parts = [(metrics["mAP"](own), metrics["mAP50"](own)) for own in resampled_counts(len(rows), draws)]
    mean, at_50 = (np.concatenate(own) for own in zip(*parts, strict=True))
    return mean, at_50


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    own.add_argument("--images", type=int, default=5_000)
    own.add_argument("--draws", type=int, default=2_000)
    options = parsed(own, argv)
    if options.quick:
        options.images, options.draws = 30, 20
    report, (truth, said) = Report("mean_average_precision", options), generated(options.images)
    data, results = as_coco(truth, said)
    values, matches = ours(truth, said)
    _, evaluation = reference(data, results)
    pairs = [(values["mAP"], evaluation.stats[0]), (values["mAP50"], evaluation.stats[1])]
    rows = pd.DataFrame(detection.match_columns(matches))
    counts = next(resampled_counts(options.images, _DRAWS)).astype(np.int64)
    chosen = [np.repeat(np.arange(options.images), row) for row in counts]
    for found, draw in zip(zip(*bootstrap(rows, _DRAWS), strict=True), chosen, strict=True):
        pairs += zip(found, drawn(evaluation, draw), strict=True)
    difference = max(abs(float(one) - float(other)) for one, other in pairs)
    if not difference <= 1e-6:
        raise SystemExit(f"ours differs from pycocotools by {difference:.2e}")
    once: dict[str, Run] = {"ours": timed(lambda: ours(truth, said)), "theirs": lambda: reference(data, results)[0]}
    taken = take_turns(once, options.pairs, warm_up=0)
    report.add(
        report.case("once"), taken["ours"], taken["theirs"], images=options.images, largest_difference=difference
    )
    again: dict[str, Run] = {
        "ours": timed(lambda: bootstrap(rows, options.draws)),
        "theirs": timed(lambda: [drawn(evaluation, draw) for draw in chosen]),
    }
    taken = take_turns(again, options.pairs, warm_up=0)
    scaled = [seconds * options.draws / _DRAWS for seconds in taken["theirs"]]
    report.add(report.case("bootstrap of 2,000"), taken["ours"], scaled, draws=options.draws, reference_draws=_DRAWS)
    report.finish()


if __name__ == "__main__":
    main()
