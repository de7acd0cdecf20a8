"""Which model is meant: one of params.yaml by its name, or the network of a data set, made if it has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sightline.config import Params
from sightline.labs.start.choices import plans
from sightline.labs.start.chooser import ROLES, WEIGHTS, machine, published
from sightline.labs.start.entries import Chosen, with_entries, write_entries
from sightline.labs.start.facts import Facts, gather
from sightline.pipeline.refreshing import refresh
from sightline.system.errors import UserError, nearest


def model_to_choose(params: Params, file: Path, name: str) -> str | None:
    """Return the model that a name of a model or data set means; None for a data set without a network.

    Raises:
        UserError: no such name, a head, or a data set with several networks.
    """
    if name in params.models:
        return name
    if name in params.heads:
        raise UserError(f"{name}: is a head, which chooses among its own settings by cross-validation; name a network")
    if name not in params.datasets:
        known = [*params.models, *params.datasets]
        there = f"; there are {', '.join(known)}"
        raise UserError(f"{name}: no model or data set of {file}{nearest(name, known, there)}")
    own = [model for model, one in params.models.items() if one.dataset == name]
    if len(own) > 1:
        raise UserError(f"{name}: has several networks; name one of {', '.join(own)}")
    return own[0] if own else None


def new_model(
    root: Path, file: Path, dataset: str, task: str | None, prepare: Callable[[str], None], tell: Callable[[str], None]
) -> str:
    """Write a network for a data set into params.yaml, as `sightline start` would; return its name.

    Args:
        root: of the project.
        file: params.yaml.
        dataset: a prepared one, or one that `prepare` makes.
        task: kind of task; None: by the data, where they teach one class per image.
        prepare: brings a stage of DVC up to date.
        tell: shows a line.

    Raises:
        UserError: a kind that is not known or that the data do not say; params.yaml stays as it is.
    """
    if task is not None and task not in ROLES:
        raise UserError(f"--task {task}: not one of {', '.join(ROLES)}{nearest(task, ROLES)}")
    prepare(f"prepare@{dataset}")
    prepared = root / "data/prepared" / dataset
    facts = gather(task or "classification", prepared)
    if task is None and not _teaches_classes(facts):
        raise UserError(
            f"{dataset}: does not teach one class per image; say what to learn with --task {'|'.join(ROLES)}"
        )
    networks = [one for one in published(root / WEIGHTS) if one.at_hand]
    plan = next(iter(plans(dataset, facts, networks, False, machine())))
    name = f"{dataset}-{ROLES[facts.task]}"
    entry = {**plan.entry, "recipe": Chosen("good", "sightline choose compares it with others")}
    text = file.read_bytes().decode("utf-8")
    write_entries(file, with_entries(text, {"models": {name: entry}}, str(file)))
    refresh(root)
    tell(f"{file}: models.{name}: added, {plan.network} at {plan.size} px")
    return name


def _teaches_classes(facts: Facts) -> bool:
    return bool(facts.classes) and facts.objects is None and sum(facts.counts.values()) == facts.samples["train"]
