"""How often the gate promotes: made-up evaluations of two models, equal ones and better ones, for each kind of metric.

`python -m bench.gate` prints a table: of 2,000 pairs of equal models of each kind, how many are promoted and how many
are called worse (2.5 % each is right), and how often a better one is found. `--pairs 200` is a quick look.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.gate_defects import inspectors
from sightline.config.evaluation import Gate
from sightline.data.structures import LabelMap
from sightline.registry.gate import Decision, decide
from sightline.tasks.metrics.by_kind import metrics_of
from sightline.tasks.metrics.matching import OVERLAPS

FLOAT64 = NDArray[np.float64]
ALL_FOUND = (1 << len(OVERLAPS)) - 1
CLASSES = tuple("abcde")
# (generator of the truth, of each model's errors, gain in quality) -> rows of champion and challenger.
Pair = tuple[pd.DataFrame, pd.DataFrame]
Draw = Callable[[Generator, float], Pair]


@dataclass(frozen=True)
class Setting:
    """One kind of evaluation: the metric, how a pair of models is drawn, and a gain in quality that should be found."""

    kind: str
    metric: str
    draw: Draw
    better: float

    def with_draw(self, draw: Draw) -> Setting:
        """Return the same for other pairs."""
        return replace(self, draw=draw)


@dataclass(frozen=True)
class Counts:
    """What became of a number of pairs."""

    pairs: int
    promoted: int
    worse: int

    @property
    def extremes(self) -> float:
        """Share of the two wrong answers for equal models, the mean of both."""
        return (self.promoted + self.worse) / (2 * self.pairs)


def _sigmoid(values: Any) -> FLOAT64:
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def _rows(count: int, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"{place:06d}" for place in range(count)], **columns})


def classifiers(
    random: Generator, gain: float, count: int = 400, classes: int = 10, level: float = 2.0, spread: float = 2.0
) -> Pair:
    """Images are of different difficulty, the same for both models."""
    label = np.arange(count) % classes
    difficulty = random.normal(0, spread, count)

    def model(quality: float) -> pd.DataFrame:
        right = random.random(count) < _sigmoid(level + quality - difficulty)
        predicted = np.where(right, label, (label + random.integers(1, classes, count)) % classes)
        return _rows(count, label=label, predicted=predicted, rank=np.where(right, 0, 9))

    return model(0.0), model(gain)


def collapsed(random: Generator, gain: float, number: int, samples: int) -> Pair:
    """The challenger is better, but finds three of ten in a class that the champion finds nearly always."""
    old, new = classifiers(random, gain, number * samples, number, 1.5, 1.0)
    first = new["label"].to_numpy() == 0
    for rows, share in ((old, 0.9), (new, 0.3)):
        right = random.random(len(rows)) < share
        rows["predicted"] = np.where(first, np.where(right, 0, 1), rows["predicted"])
    return old, new


def labellers(random: Generator, gain: float, count: int = 300) -> Pair:
    """Several labels per image, of different frequency; the logits share a part of their noise."""
    frequency = np.linspace(0.1, 0.5, len(CLASSES))
    actual = random.random((count, len(CLASSES))) < frequency
    common = random.normal(0, 1, actual.shape)

    def model(quality: float) -> pd.DataFrame:
        logits = (2 + quality) * (actual - 0.5) + common + random.normal(0, 1, actual.shape)
        said = [np.flatnonzero(row > 0).tolist() for row in logits]
        labels = [np.flatnonzero(row).tolist() for row in actual]
        return _rows(count, labels=labels, predicted_labels=said, probabilities=list(_sigmoid(logits)))

    return model(0.0), model(gain)


def segmenters(random: Generator, gain: float, count: int = 200) -> Pair:
    """Each image has some of the classes, in patches of different size."""
    classes = len(CLASSES)
    actual = random.gamma(1, 800, (count, classes)).astype(np.int64)
    actual *= random.random((count, classes)) < np.linspace(0.2, 0.9, classes)
    common = random.normal(0, 0.8, actual.shape)

    def model(quality: float) -> pd.DataFrame:
        share = _sigmoid(1.3 + quality + common + random.normal(0, 0.5, actual.shape))
        hits = random.binomial(actual, share)
        missed = actual - hits
        claimed = hits + missed[:, np.roll(np.arange(classes), 1)]  # one class is taken for the next
        return _rows(count, hits=list(hits), actual=list(actual), claimed=list(claimed))

    return model(0.0), model(gain)


def regressors(random: Generator, gain: float, count: int = 300) -> Pair:
    """Errors have heavier tails than normal ones and are half common to both models."""
    actual = random.normal(0, 1, (count, 2))
    common = random.standard_t(6, actual.shape)

    def model(quality: float) -> pd.DataFrame:
        error = 0.3 * (1 - quality) * (common + random.standard_t(6, actual.shape))
        return _rows(count, values=list(actual), predicted_values=list(actual + error))

    return model(0.0), model(gain)


def posers(random: Generator, gain: float, count: int = 250) -> Pair:
    """Images have 0 to 12 labelled points, near ones by the difficulty of the image."""
    points = random.integers(0, 13, count)
    difficulty = random.normal(0, 1.2, count)

    def model(quality: float) -> pd.DataFrame:
        near = random.binomial(points, _sigmoid(1.2 + quality - difficulty + random.normal(0, 0.5, count)))
        sure = random.random(count)
        return _rows(count, points=points, near=near, error=1.0 * points, similarity=sure, confidence=sure)

    return model(0.0), model(gain)


def locators(random: Generator, gain: float, count: int = 200) -> Pair:
    """Overlaps from 0 to 1, of which a part is the image's."""
    difficulty = random.normal(0, 1, count)

    def model(quality: float) -> pd.DataFrame:
        score = _sigmoid(1 + quality - difficulty + random.normal(0, 1, count))
        return _rows(count, score=score, right_class=score > 0.2, located=score > 0.5)

    return model(0.0), model(gain)


def readers(random: Generator, gain: float, count: int = 250) -> Pair:
    """Texts of 3 to 8 characters, wrong ones by the difficulty of the image; a character that is added counts too."""
    characters = random.integers(3, 9, count)
    difficulty = random.normal(0, 1.2, count)

    def model(quality: float) -> pd.DataFrame:
        wrong = random.binomial(characters, _sigmoid(-2.5 - quality + difficulty + random.normal(0, 0.5, count)))
        edits = wrong + (random.random(count) < 0.02)
        return _rows(count, characters=characters, edits=edits, exact=edits == 0)

    return model(0.0), model(gain)


def restorers(random: Generator, gain: float, count: int = 200) -> Pair:
    """Signal-to-noise ratios, mostly the image's own."""
    own = random.normal(28, 5, count)

    def model(quality: float) -> pd.DataFrame:
        psnr = own + quality + random.normal(0, 1, count)
        return _rows(count, psnr=psnr, ssim=psnr / 60, mse=10 ** (-psnr / 10))

    return model(0.0), model(gain)


def painters(random: Generator, gain: float, count: int = 200) -> Pair:
    """Distances from content and style, mostly the image's own; the reduction of the loss is skewed to the left."""
    own = random.normal(0, 0.4, count)

    def model(quality: float) -> pd.DataFrame:
        left = np.exp(own - 2 - quality + random.normal(0, 0.15, count))
        return _rows(count, loss_reduction=1 - left, content_distance=4 * left, style_distance=left / 9)

    return model(0.0), model(gain)


def detectors(
    random: Generator,
    gain: float,
    count: int = 120,
    level: float = 1.0,
    false: float = 0.0,
    clustered: float = 1.0,
    prefix: str = "",
) -> Pair:
    """Objects are found by the difficulty of their image, beside them are false positives, which are less sure.

    Args:
        random: source of randomness.
        gain: in quality of the challenger, which finds more objects and has fewer false positives.
        count: of images.
        level: logit of finding an object.
        false: mean number of false positives per image.
        clustered: share of the images that have them.
        prefix: of columns.
    """
    classes = len(CLASSES)
    objects = random.poisson(1.5, (count, classes))
    difficulty = random.normal(0, 1, count)

    def image(place: int, quality: float) -> tuple[Any, ...]:
        label = np.repeat(np.arange(classes), objects[place])
        own = level + quality - difficulty[place] + random.normal(0, 1, len(label))
        found = random.random(len(label)) < _sigmoid(own)
        extra = random.poisson(false * np.exp(-quality) / clustered) if random.random() < clustered else 0
        wrong = random.integers(0, classes, extra)
        scores = np.concatenate([_sigmoid(random.normal(1, 1, found.sum())), _sigmoid(random.normal(0, 1, extra))])
        order = np.argsort(-scores, kind="stable")
        bits = np.concatenate([np.full(found.sum(), ALL_FOUND), np.zeros(extra, np.int64)])[order]
        return np.concatenate([label[found], wrong])[order], scores[order].astype(np.float32), bits, 0 * bits

    def model(quality: float) -> pd.DataFrame:
        images = [image(place, quality) for place in range(count)]
        columns = zip(("object_labels", "object_scores", "found", "ignored"), zip(*images, strict=True), strict=True)
        named = {name: list(values) for name, values in columns} | {"truths": list(objects)}
        prefixes = ("mask_", "box_") if prefix else ("",)
        return _rows(count, **{own + name: values for own in prefixes for name, values in named.items()})

    return model(0.0), model(gain)


SETTINGS = {
    "accuracy": Setting("classification", "accuracy", classifiers, 0.5),
    "macro F1": Setting("classification", "macro_f1", classifiers, 0.5),
    "mAP over labels": Setting("multilabel", "mean_average_precision", labellers, 0.5),
    "mIoU": Setting("semantic_segmentation", "mIoU", segmenters, 0.12),
    "R2": Setting("regression", "r2", regressors, 0.12),
    "PCK": Setting("keypoints", "pck", posers, 0.35),
    "mean IoU": Setting("localization", "mean_iou", locators, 0.35),
    "PSNR": Setting("autoencoder", "psnr", restorers, 0.3),
    "character error rate": Setting("text_recognition", "character_error_rate", readers, 0.5),
    "AUROC": Setting("anomaly", "auroc", inspectors, 0.6),
    "PRO": Setting("anomaly", "pro", inspectors, 0.25),
    "loss reduction": Setting("style_network", "loss_reduction", painters, 0.05),
    "mAP50": Setting("detection", "mAP50", detectors, 0.4),
    "mAP50, false positives": Setting("detection", "mAP50", partial(detectors, level=4.0, false=0.5), 0.8),
    "mAP50, clustered": Setting(
        "detection", "mAP50", partial(detectors, count=200, level=4.0, false=0.5, clustered=0.03), 1.6
    ),
    "mask mAP50": Setting(
        "instance_segmentation", "mask_mAP50", partial(detectors, level=2.0, false=0.3, prefix="mask_"), 0.5
    ),
}


def judged(setting: Setting, rows: Pair, resamples: int, rules: Gate) -> Decision:
    """Judge one pair."""
    labels = LabelMap(CLASSES, CLASSES, values=("x", "y"))
    if "label" in rows[0]:
        names = tuple(map(str, range(int(rows[0]["label"].max()) + 1)))
        labels = LabelMap(names, names)
    measure = partial(metrics_of, setting.kind, labels=labels)
    return decide(*rows, setting.metric, measure, rules, resamples, 0.95)


def drawn(setting: Setting, pairs: int, gain: float, seed: int = 0) -> Iterator[Pair]:
    """Yield pairs of models, each by its number alone."""
    for place in range(pairs):
        yield setting.draw(Generator(Philox(key=[seed, place])), gain)


def count(setting: Setting, pairs: int, gain: float = 0.0, resamples: int = 1000, rules: Gate | None = None) -> Counts:
    """Judge pairs of models; a gain of 0 makes them equal."""
    promoted = worse = 0
    for rows in drawn(setting, pairs, gain):
        decision = judged(setting, rows, resamples, rules or Gate())
        promoted += decision.outcome == "promote"
        worse += decision.high < 0
    return Counts(pairs, promoted, worse)


def main() -> None:
    """Print how often equal and better models are promoted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    options = parser.parse_args()
    table = Table("metric", "equal: promoted", "equal: worse", "better: promoted")
    for name in options.only:
        equal, better = (
            count(SETTINGS[name], options.pairs // part, gain) for part, gain in ((1, 0.0), (4, SETTINGS[name].better))
        )
        shares = (equal.promoted / equal.pairs, equal.worse / equal.pairs, better.promoted / better.pairs)
        table.add_row(name, *(f"{share:.1%}" for share in shares))
    Console().print(table)


if __name__ == "__main__":
    main()
