"""How long models took to make, in words: what the stages noted (`pipeline.notes`) in, sentences out."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.operations.pages.sources import Sources
from sightline.pipeline.durations import time_words
from sightline.pipeline.notes import read_duration

_TRAINING = {"train": "Training", "fit_head": "Fitting"}


def training_time(sources: Sources) -> str:
    """Return how long the last training of a model took here and was expected to take, "" if it is not known."""
    for kind, what in _TRAINING.items():
        noted = read_duration(sources.root, f"{kind}@{sources.name}")
        if noted is None:
            continue
        taken, expected = time_words(noted["seconds"]), noted.get("expected")
        if noted.get("resumed"):
            return f"{what} took {taken} after it was resumed."
        return f"{what} took {taken}{f', expected were {time_words(expected)}' if expected else ''}."
    return ""


def making_words(models: Sequence[Sources]) -> str:
    """Return how long the last run of all stages of these models and their data took together, "" if not known.

    The stage that writes the pages is not among them: its time is known only after it has written them.
    """
    stages = {stage: sources.root for sources in models for stage in sources.stages()}
    seconds = [noted["seconds"] for stage, root in stages.items() if (noted := read_duration(root, stage)) is not None]
    if not seconds:
        return ""
    return f"The stages that made these models took {time_words(sum(seconds))}, without DVC and these pages."
