"""How right the advice on more data is: what is predicted from half of a train split, and what the whole one gains.

`python -m bench.advice --data FOLDER` draws a train split of each data set several times. From one half of it the gain
of twice the data is predicted, as stage `fit_head` does, and compared with what the whole train split really gains over
this half on images that neither has; the real gain is the mean over the draws. FOLDER holds the public data sets and
`weights/`. docs/advice.md has the table; `--out FILE` writes it as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from bench.advice_sets import EmbeddedSet, embedded
from sightline.config.heads import Head
from sightline.training.heads.classifiers import build_pipeline
from sightline.training.heads.doubling import gain_of_doubling
from sightline.training.heads.fitting import drawn_by_class
from sightline.training.heads.learning_curve import measure_curve

POINTS = 1.5  # within which a prediction is called right
_LINEAR: Mapping[str, Any] = {"kind": "linear_svm", "C": [0.01]}
_LOGISTIC: Mapping[str, Any] = {"kind": "logistic", "C": [0.1]}
_RADIAL: Mapping[str, Any] = {"kind": "rbf_svm", "C": [10.0]}


@dataclass(frozen=True)
class Setting:
    """A data set, images of the whole train split, the head, and the share of labels that are made wrong."""

    dataset: str
    train: int
    head: Mapping[str, Any]
    wrong_labels: float = 0.0


SETTINGS = (
    Setting("flowers12", 720, _LINEAR),
    Setting("flowers12-64px", 720, _LINEAR),
    Setting("flowers12-16px", 720, _RADIAL),
    Setting("caltech25", 850, _LINEAR),
    Setting("bccd-cells", 600, _LINEAR),
    Setting("mnist-pixels", 1000, _LINEAR),
    Setting("mnist-pixels", 400, _RADIAL),
    Setting("mnist-hog", 1000, _RADIAL),
    Setting("digits-pixels", 800, _LINEAR),
    Setting("digits-pixels", 300, _RADIAL),
    # The prior was chosen on other draws of the sets above but the first. These had no part in it:
    Setting("mnist-hog", 300, _LOGISTIC),
    Setting("mnist-pixels", 4000, _RADIAL),
    Setting("digits-pixels", 600, _RADIAL, wrong_labels=0.1),
)


@dataclass(frozen=True)
class Result:
    """One setting: gains in points, means over the draws.

    Attributes:
        name: of data set and head.
        half: images from which the gain is predicted.
        accuracy: of the head of one half, percent.
        predicted: mean prediction.
        real: mean gain of the whole train split.
        noise: standard error of the mean gain.
        single: root mean square of prediction less mean gain, over draws.
        covered: share of the draws whose interval holds the mean gain.
        width: mean width of the interval.
        seconds: of one learning curve.
    """

    name: str
    half: int
    accuracy: float
    predicted: float
    real: float
    noise: float
    single: float
    covered: float
    width: float
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the prediction is within `POINTS`."""
        return abs(self.predicted - self.real) <= POINTS


def study(setting: Setting, own: EmbeddedSet, draws: int) -> Result:
    """Predict and measure one setting."""
    labels = _with_wrong(own, setting.wrong_labels)
    head: Head = TypeAdapter(Head).validate_python({"dataset": "bench", "features": "bench", **setting.head})
    pipeline, tried = build_pipeline(head, 0)
    chosen = {name.rpartition("__")[2]: values[0] for name, values in tried.items()}
    rows = []
    for draw in range(draws):
        train = drawn_by_class(labels, setting.train, draw)
        half = train[drawn_by_class(labels[train], setting.train // 2, draw + 1000)]
        test = np.setdiff1d(np.arange(len(labels)), train)
        started = time.perf_counter()
        curve = measure_curve(head, chosen, own.vectors[half], labels[half], draw)
        assert curve is not None
        gain = gain_of_doubling(curve, len(half)).overall
        seconds = time.perf_counter() - started
        right = []
        for part in (half, train):
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = pipeline.set_params(**{n: v[0] for n, v in tried.items()}).fit(own.vectors[part], labels[part])
            right.append(100 * float((said.predict(own.vectors[test]) == labels[test]).mean()))
        rows.append((right[0], 100 * gain.value, right[1] - right[0], 100 * gain.low, 100 * gain.high, seconds))
    accuracy, predicted, real, low, high, seconds_each = np.array(rows).T
    truth = float(real.mean())
    return Result(
        f"{setting.dataset}, {setting.head['kind']}" + (", wrong labels" if setting.wrong_labels else ""),
        setting.train // 2,
        float(accuracy.mean()),
        float(predicted.mean()),
        truth,
        float(real.std(ddof=1) / draws**0.5) if draws > 1 else float("nan"),
        float(np.sqrt(((predicted - truth) ** 2).mean())),
        float(((low <= truth) & (truth <= high)).mean()),
        float((high - low).mean()),
        float(np.median(seconds_each)),
    )


def _with_wrong(own: EmbeddedSet, share: float) -> NDArray[np.int64]:
    """Return the labels, a share of them drawn anew among all classes."""
    random = np.random.Generator(np.random.Philox(key=[0, 0]))
    anew = random.integers(0, len(own.classes), len(own.labels))
    return np.where(random.random(len(own.labels)) < share, anew, own.labels)


def table(results: Sequence[Result]) -> Table:
    """Return the results as docs/advice.md shows them."""
    shown = Table("data set, head", "images", "accuracy", "predicted", "real", "single", "covered", "width", "seconds")
    for one in results:
        numbers = [f"{one.accuracy:.1f}", f"{one.predicted:+.1f}", f"{one.real:+.1f} ± {one.noise:.1f}"]
        rest = [f"{one.single:.1f}", f"{one.covered:.0%}", f"{one.width:.1f}", f"{one.seconds:.1f}"]
        shown.add_row(one.name, str(one.half), *numbers, *rest)
    return shown


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets and weights/")
    parser.add_argument("--cache", type=Path, default=Path("bench-features"), help="folder in which features are kept")
    parser.add_argument("--draws", type=int, default=8, help="train splits per data set")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    own = parser.parse_args()
    results = []
    for one in SETTINGS:
        results.append(study(one, embedded(one.dataset, own.data, own.cache), own.draws))
        print(f"{results[-1].name}: {results[-1].predicted:+.1f}, really {results[-1].real:+.1f}", flush=True)
    Console(width=120).print(table(results))
    print(f"{sum(one.right for one in results)} of {len(results)} within {POINTS:g} points")
    if own.out is not None:
        own.out.write_text(json.dumps([asdict(one) for one in results], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
