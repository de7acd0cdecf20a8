"""Small objects on large images: a detector that sees images whole against one that sees tiles of them.

`python -m bench.tiling FOLDER` prepares the data sets of examples/tiling.yaml in a folder, trains its three models
there, and measures both detectors on the test split, in pixels of the originals. Both begin with the same weights and
learn from as many pixels of the network's input. Figures go to bench/results/tiling.json, a picture to
docs/images/tiling.jpg.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.config import Params, load_params
from sightline.config.evaluation import Evaluation
from sightline.data.images import decode
from sightline.data.overlay import class_colour
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, UINT8
from sightline.data.tiles import Tile, cut, tiles_over
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.predictor import load_predictor
from sightline.pipeline.process import set_up_process
from sightline.training.ladder.climb import train_model

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results/tiling.json"
PICTURE = ROOT / "docs/images/tiling.jpg"
COMPARED = ("whole", "tiled")
METRICS = ("mAP50", "mAP75", "mAP")
_SHOWN = 420  # pixels of a scene in the picture, both sides
_SURE = 0.5


def main() -> None:
    set_up_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    params = load_params(ROOT / "examples/tiling.yaml")
    options.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(options.folder)
    rows = list(_rows(params))
    gain = rows[1]["mAP50"] - rows[0]["mAP50"]
    RESULTS.write_text(json.dumps({"models": rows, "gain_mAP50": gain}, indent=1) + "\n")
    cv2.imwrite(str(PICTURE), _picture()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"mAP50: {gain:+.3f} by tiles")


def _rows(params: Params) -> Any:
    for name, dataset in params.datasets.items():
        started = time.perf_counter()
        prepare(name, dataset, Path("prepared", name), progress=False)
        print(f"{name}: prepared in {time.perf_counter() - started:.0f} s")
    for name, model in params.models.items():
        started = time.process_time()
        policy = params.augmentations.get(model.augment)
        prepared = Path("prepared", model.dataset)
        train_model(
            model, params.seed_of(name), prepared, Path("models", name), augmentation=policy, resume_root=Path("resume")
        )
        trained = time.process_time() - started
        if name not in COMPARED:
            continue
        report = Path("reports", name)
        report.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        found = evaluate_model(Path("models", name), prepared, Evaluation(resamples=500), report)
        row: dict[str, Any] = {"model": name, **{metric: found[metric] for metric in METRICS if metric in found}}
        row |= {"low": found["headline"]["low"], "high": found["headline"]["high"], "samples": found["samples"]}
        row |= {"onnx_agrees": found["onnx"]["agrees"], "train_cpu_s": round(trained)}
        yield row | {"evaluate_cpu_s": round(time.process_time() - started)}


def _picture() -> UINT8:
    """Return the part of a test scene with most digits: what is there, and what each model says of it."""
    store = SplitStore(Path("prepared/large/test"))
    number = int(np.argmax([len(own) for own in store.column("box_labels")]))
    image, sample = decode(store.image(number), 3), store.sample(number)
    assert sample.boxes is not None
    part = max(
        tiles_over(image.shape[0], image.shape[1], _SHOWN, 0.75), key=lambda tile: len(_inside(sample.boxes, tile))
    )
    panels = [_drawn(image, part, sample.boxes, sample.box_labels)]
    for name in COMPARED:
        said = load_predictor(Path("models", name)).predictions([bytes(store.image(number))])[0]
        assert said.boxes is not None
        assert said.box_scores is not None
        sure = np.flatnonzero(said.box_scores >= _SURE)
        panels.append(_drawn(image, part, said.boxes[sure], [(said.box_labels or [])[place] for place in sure]))
    gap = np.full((_SHOWN, 6, 3), 255, np.uint8)
    joined: UINT8 = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], 1)
    return joined


def _inside(boxes: FLOAT32 | None, tile: Tile) -> NDArray[np.int64]:
    """Return the places of the boxes that are wholly in a part of the image."""
    assert boxes is not None
    corner = np.array([tile.left, tile.top])
    return np.flatnonzero(((boxes[:, :2] >= corner) & (boxes[:, 2:] <= corner + tile.size)).all(1))


def _drawn(image: UINT8, part: Tile, boxes: FLOAT32, labels: list[int]) -> UINT8:
    picture = image.copy()
    for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels, strict=True):
        colour = class_colour(label)
        cv2.rectangle(picture, (round(x1) - 2, round(y1) - 2), (round(x2) + 1, round(y2) + 1), colour, 1)
        cv2.putText(picture, str(label), (round(x1), round(y1) - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1)
    return cut(picture, part, part.size)


if __name__ == "__main__":
    main()
