"""What hand-made features are worth: a linear SVM on each of them, on the embedded digits and on some of MNIST's.

`python -m bench.extractors --data FOLDER` takes the files of MNIST from FOLDER, 3,000 of the training digits and all
10,000 of the test. Rows go to bench/results/extractors.json; docs/transfer.md has the table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.images import few_digits
from sightline.config.dataset_section import Split
from sightline.config.datasets import Digits, Idx
from sightline.config.evaluation import Evaluation
from sightline.config.features import Features
from sightline.config.heads import LinearSvm
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.evaluation.evaluate import evaluate_model
from sightline.pipeline.process import set_up_process
from sightline.training.features.building import build_features
from sightline.training.features.embedding import embed
from sightline.training.heads.training import fit_head

RESULTS = Path(__file__).parent / "results" / "extractors.json"
SIZE = 28  # pixels; the embedded digits have 8
EXTRACTORS: dict[str, dict[str, Any]] = {
    "pixels": {},
    "gabor": {},
    "hog": {"cell": 7},
    "visual_words": {},
    "structure": {},
    "hmax": {},
}


def main() -> None:
    set_up_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four files of MNIST")
    parser.add_argument("--train", type=int, default=3000, help="training digits of MNIST")
    parser.add_argument("--extractors", nargs="+", default=list(EXTRACTORS), choices=EXTRACTORS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for subject in ("digits", "mnist"):
            prepared = Path(folder, subject)
            _prepare(subject, options.data, options.train, prepared)
            for kind in options.extractors:
                rows.append(_row(subject, kind, prepared, Path(folder, f"{subject}-{kind}")))
                print(json.dumps(rows[-1]), flush=True)
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _prepare(subject: str, data: Path, train: int, prepared: Path) -> None:
    if subject == "digits":
        prepare(subject, Digits(format="digits", root="data/embedded"), prepared)
        return
    val = train // 10  # nothing is chosen on them; a data set must have some
    few = few_digits(data, prepared.with_name("few"), range(train + val), range(10_000))
    split = Split(train=train / (train + val), val=val / (train + val), test=0.0, by="order")
    prepare(subject, Idx(format="idx", root=str(few), split=split), prepared)


def _row(subject: str, kind: str, prepared: Path, folder: Path) -> dict[str, Any]:
    section = {"dataset": subject, "input": {"size": SIZE, "channels": 1}}
    features = Features.model_validate({**section, "extractor": {"kind": kind, **EXTRACTORS[kind]}})
    started = time.process_time()
    card = embed(build_features(features, 1), prepared, folder / "features")
    embedded = time.process_time()
    head = LinearSvm(
        dataset=subject,
        features=kind,
        kind="linear_svm",
        C=[0.0001, 0.001, 0.01, 0.1],
        choose_on=1000,
        calibrate="none",
    )
    _, fitted = fit_head(head, [kind], 1, folder / "features", prepared, folder / "model")
    ended = time.process_time()
    (folder / "report").mkdir()
    found = evaluate_model(folder / "model", prepared, Evaluation(resamples=1000), folder / "report")
    images = sum(len(SplitStore(prepared / split)) for split in ("train", "val", "test"))
    return {
        "subject": subject,
        "extractor": kind,
        "train": len(SplitStore(prepared / "train")),
        "test": len(SplitStore(prepared / "test")),
        "numbers": card.dimensions[kind],
        "accuracy": found["accuracy"],
        "chosen": fitted.chosen,
        "ms_per_image": round(1000 * (embedded - started) / images, 2),
        "fit_s": round(ended - embedded, 1),
    }


if __name__ == "__main__":
    main()
