"""What to say below the table of models: which is the best, how to use it, and what may make its score too good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.config.metrics import smaller_is_better
from sightline.data.raw.findings import near_copies
from sightline.system.files import read_json

if TYPE_CHECKING:
    from sightline.registry.outcomes import Outcome


def below_the_table(outcomes: Sequence[Outcome], dataset_of: Mapping[str, str], root: Path) -> list[str]:
    """Return lines on the models of each data set and kind of task.

    Args:
        outcomes: of models.
        dataset_of: the data set of each model.
        root: of the project.
    """
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        champion = outcome.leader or outcome
        if champion.alias == "champion" and outcome.name in dataset_of:
            groups.setdefault((dataset_of[outcome.name], champion.task), []).append(champion)
    best = (_best(dataset, champions, len(groups) == 1) for (dataset, _), champions in groups.items())
    return [*filter(None, best), *_cautions([dataset for dataset, _ in groups], root)]


def _best(dataset: str, champions: Sequence[Outcome], alone: bool) -> str:
    """Say which champion has the best score on the same test images; of a single one only how it is used."""
    metric = champions[0].headline["name"]
    if any(champion.headline["name"] != metric for champion in champions):
        return ""
    sign = 1 if smaller_is_better(metric) else -1
    first = min(champions, key=lambda champion: sign * champion.headline["value"])
    use = f"sightline predict {first.name}@champion IMAGE"
    if len(champions) > 1:
        return f"{dataset}: {first.name} has the best score; to use it: {use}"
    return f"to use it: {use}" if alone else ""


def _cautions(datasets: Sequence[str], root: Path) -> Iterator[str]:
    for dataset in dict.fromkeys(datasets):
        try:
            told = near_copies(read_json(root / "data/prepared" / dataset / "card.json"))
        except (OSError, ValueError):
            continue  # was removed, or is being made
        if told:
            yield f"{dataset}: {told[0].lower()}{told[1:]} data/prepared/{dataset}/report.md names them."
