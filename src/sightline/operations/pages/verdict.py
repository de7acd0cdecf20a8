"""The report for a person in a hurry: of the best model of each data set what works, what does not, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sightline.config.metrics import OF_ONE, smaller_is_better
from sightline.data.raw.findings import near_copies
from sightline.evaluation.report import read_table
from sightline.operations.advice.evaluations import evaluated, head_against_network
from sightline.operations.pages.baselines import constant_answer
from sightline.operations.pages.next_steps import next_steps
from sightline.operations.pages.pictures import Picture
from sightline.operations.pages.sources import Sources
from sightline.operations.pages.weak_spots import of_100, weak_spots
from sightline.operations.pages.words import metric_title, metric_words, number, task_words

_MOST_STEPS = 3


@dataclass(frozen=True)
class Verdict:
    """Three sentences on a model.

    Attributes:
        dataset: its data set.
        task: kind of task, in words.
        model: its name.
        among: how many models were compared with it.
        as_good: a head over fixed features that is as good as this network within chance, "" if there is none.
        works: what works; `good` is false where it is no better than a constant answer.
        good: whether there is something that works.
        caution: why the score may be too good, "" if nothing says so.
        fails: what does not, and `weak` whether there is something.
        pictures: errors on it.
        steps: what to do next, in their order.
    """

    dataset: str
    task: str
    model: str
    among: int
    as_good: str
    works: str
    good: bool
    caution: str
    fails: str
    weak: bool
    pictures: list[Picture]
    steps: list[str]

    def lines(self) -> list[str]:
        """Return it as text."""
        return [
            f"{self.dataset}, {self.task}: {self.model}{self.chosen()}",
            f"  {'works' if self.good else 'result'}: {self.works}",
            *([f"  caution: {self.caution}"] if self.caution else []),
            f"  does not: {self.fails}",
            f"  next: {self.steps[0]}",
        ]

    def chosen(self) -> str:
        """Say among how many it is the best, and which cheaper one is as good."""
        cheaper = f"; {self.as_good}, a head that is fitted in a fraction of the time, is as good within chance"
        return f", the best of {self.among}{cheaper if self.as_good else ''}" if self.among > 1 else ""


def verdicts(models: Sequence[Sources], slices_file: Path | None) -> list[Verdict]:
    """Return three sentences on the best model of each data set and kind of task, in the order of the models.

    The best has the best headline value on the test images; where models have different headline metrics, of those with
    the most frequent one.

    Args:
        models: evaluated.
        slices_file: table of attributes of images, None if there is none.
    """
    groups: dict[tuple[str, str], list[tuple[Sources, dict[str, Any]]]] = {}
    for sources in models:
        metrics = sources.metrics()
        groups.setdefault((sources.dataset, metrics["task"]), []).append((sources, metrics))
    return [_verdict(_ranked(own), slices_file) for own in groups.values()]


def _ranked(models: Sequence[tuple[Sources, dict[str, Any]]]) -> list[tuple[Sources, dict[str, Any]]]:
    """Return the models that have the usual headline metric, the best first."""
    usual = Counter(metrics["headline"]["name"] for _, metrics in models).most_common(1)[0][0]
    alike = [(sources, metrics) for sources, metrics in models if metrics["headline"]["name"] == usual]
    sign = 1 if smaller_is_better(usual) else -1
    return sorted(alike, key=lambda own: sign * own[1]["headline"]["value"])  # equal ones in their order


def _verdict(ranked: Sequence[tuple[Sources, dict[str, Any]]], slices_file: Path | None) -> Verdict:
    (sources, metrics), among = ranked[0], len(ranked)
    weak = weak_spots(sources, metrics, slices_file)
    works, good = _works(sources, metrics)
    steps = [step.words for step in next_steps(sources, metrics, weak, good)]
    return Verdict(
        sources.dataset,
        task_words(metrics["task"]),
        sources.name,
        among,
        _as_good(sources),
        works,
        good,
        near_copies(sources.optional(f"data/prepared/{sources.dataset}/card.json") or {}),
        weak.words,
        bool(weak.classes or weak.slices),
        weak.pictures,
        steps[:_MOST_STEPS] or ["Nothing in its files asks for attention."],
    )


def _as_good(sources: Sources) -> str:
    pair = head_against_network(sources.root, sources.dataset, evaluated(sources.root, sources.peers))
    return "" if pair is None or pair.better or pair.network != sources.name else pair.head


def _works(sources: Sources, metrics: Mapping[str, Any]) -> tuple[str, bool]:
    """Say how good a model is, and whether it is better than a constant answer where that is known."""
    on = f"on {metrics['samples']:,} test images it never saw"
    constant = constant_answer(sources, metrics)
    if constant:
        return f"Its {_score(metrics['headline'])} {on} is {constant}.", False
    found = _counted(metrics) or f"{_found(sources)}{_in_words(metrics)}, {on}"
    return f"It {_does(metrics, _classes(sources))}: {found}.", True


def _found(sources: Sources) -> str:
    """Say of a detector how many of the objects it finds, and how much of what it finds is right, "" of others.

    Each class at the score of its best F1, which `evaluate` has chosen on the same images: hence "about".
    """
    path = sources.evaluation / "per_class.csv"
    table = read_table(path, ("class",)) if path.is_file() else pd.DataFrame()
    if not {"objects", "precision", "recall", "threshold"} <= set(table.columns):
        return ""
    known = table[(table["objects"] > 0) & (table["precision"] > 0)]
    hits = known["recall"] * known["objects"]
    claims = float((hits / known["precision"]).sum())
    if not claims:
        return ""
    recall, precision = float(hits.sum() / table["objects"].sum()), float(hits.sum()) / claims
    return f"about {of_100(recall)} of 100, and {of_100(precision)} of 100 that it finds are right; "


def _classes(sources: Sources) -> int:
    card = sources.optional(f"data/prepared/{sources.dataset}/card.json") or {}
    return len(card.get("classes", []))


def _does(metrics: Mapping[str, Any], classes: int) -> str:
    count = f"{classes} classes" if classes else "classes"
    words = {
        "classification": f"distinguishes {count}",
        "multilabel": f"names which of {count} an image shows",
        "regression": "predicts values of an image",
        "localization": f"finds the largest object and which of {count} it is",
        "detection": f"finds objects of {count}",
        "sliding_window": f"finds objects of {count}",
        "instance_segmentation": f"finds and outlines objects of {count}",
        "semantic_segmentation": f"assigns each pixel to one of {count}",
        "keypoints": "finds key points",
        "autoencoder": "reconstructs images",
        "text_recognition": "reads what is written on an image",
        "anomaly": "distinguishes defective images from good ones, and shows where",
        "style_network": "draws images in the styles of paintings",
    }
    return words.get(metrics["task"], f"does {task_words(metrics['task'])}")


# Headline metrics that are shares of the test images: what holds for so many of them.
_IMAGES = {
    "accuracy": "right in",
    "top5": "the class is among the first five in",
    "exact_match": "exactly right in",
    "class_accuracy": "right in",
    "localization_accuracy": "class and box right in",
}
# Headline metrics that are shares of something else a person can count.
_SHARES = {
    "pixel_accuracy": "right in {} of 100 pixels",
    "pck": "{} of 100 points within a fifth of the torso's length",
    "r2": "it explains {} % of the variance",
}


def _counted(metrics: Mapping[str, Any]) -> str:
    """Return for how many of the test images the headline holds, with its interval; "" if it is no share of them."""
    own, samples = metrics["headline"], metrics["samples"]
    if own["name"] not in _IMAGES:
        return ""
    low, high = own.get("low"), own.get("high")
    ends = "" if low is None or high is None else f" ({of_100(max(0.0, low))} to {of_100(high)} %)"
    return f"{_IMAGES[own['name']]} {round(own['value'] * samples):,} of {samples:,} test images it never saw{ends}"


def _in_words(metrics: Mapping[str, Any]) -> str:
    """Return the headline in words that need no glossary, where there are some, and its interval."""
    own = metrics["headline"]
    name, value, low, high = own["name"], own["value"], own.get("low"), own.get("high")
    single, _, one = name.partition(OF_ONE)
    if name in _SHARES and value >= 0:
        ends = "" if low is None else f" ({of_100(max(0.0, low))} to {of_100(high)})"
        return _SHARES[name].format(of_100(value)) + ends
    if one and single in ("recall", "precision"):
        ends = "" if low is None else f" ({of_100(low)} to {of_100(high)})"
        what = f"“{one}” found" if single == "recall" else f"right when it says “{one}”"
        return f"{what} in {of_100(value)} of 100{ends}"
    return _score(own)


def _score(headline: Mapping[str, Any]) -> str:
    low, high = headline.get("low"), headline.get("high")
    ends = "" if low is None or high is None else f"{number(low)} to {number(high)}"
    notes = "; ".join(filter(None, [ends, metric_words(headline["name"])]))
    return f"{metric_title(headline['name'])} {number(headline['value'])}{f' ({notes})' if notes else ''}"
