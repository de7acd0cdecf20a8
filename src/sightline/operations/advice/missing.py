"""What has to be there before there is more advice, each with what to do."""

from __future__ import annotations

from pathlib import Path

from sightline.config import Params
from sightline.operations.advice.advising import Advice
from sightline.operations.advice.candidates import Candidate, candidates, curve_file, read_metrics
from sightline.system.files import read_json

_ONE_CLASS = ("classification",)


def what_is_missing(root: Path, params: Params, advice: Advice) -> list[str]:
    """Return a line for each part of an advice that is not known: why, and what to do."""
    every = candidates(params, advice.dataset)
    lines = [] if advice.doubling is not None else [_no_curve(root, params, advice.dataset, every)]
    unevaluated = [one.name for one in every if read_metrics(root, one.name) is None]
    if advice.smallest_difference is None:
        lines.append(_no_difference(advice, every, unevaluated))
    return lines


def _no_curve(root: Path, params: Params, dataset: str, every: tuple[Candidate, ...]) -> str:
    heads = [one.name for one in every if one.role != "network" and params.kinds()[one.name] in _ONE_CLASS]
    if heads:
        there = [name for name in heads if curve_file(root, name).is_file()]
        if there:
            return f"{dataset}: no learning curve: {read_json(curve_file(root, there[0]))['reason']}"
        return f"{dataset}: no learning curve yet; run `dvc repro fit_head@{heads[0]}`"
    kinds = {params.kinds()[one.name] for one in every}
    if kinds and not kinds & set(_ONE_CLASS):
        told = ", ".join(sorted(kind.replace("_", " ") for kind in kinds))
        return f"{dataset}: no learning curve: it needs one class per image, and {told} has none"
    features = [name for name, entry in params.features.items() if entry.dataset == dataset]
    entry = f"{dataset}-head: {{dataset: {dataset}, features: {features[0] if features else 'NAME'}, kind: logistic}}"
    network = "network: timm:tf_efficientnet_lite0, weights: pretrained"
    made = f"features: {dataset}-features: {{dataset: {dataset}, {network}}}"
    first = "" if features else f" and the features that it needs, {made}"
    return f"{dataset}: no learning curve: add a head to params.yaml, heads: {entry}{first}; then run `dvc repro`"


def _no_difference(advice: Advice, every: tuple[Candidate, ...], unevaluated: list[str]) -> str:
    name = advice.model or advice.dataset
    if advice.model in unevaluated or len(unevaluated) == len(every):
        stage = f" evaluate@{advice.model or unevaluated[0]}" if unevaluated else ""
        return f"{name}: what the test images can show is not known: not evaluated yet; run `dvc repro{stage}`"
    return (
        f"{name}: what the test images can show is not known: it takes two models that were evaluated on the same test "
        "images; add a second model of this data set"
    )
