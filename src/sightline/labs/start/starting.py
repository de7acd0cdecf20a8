"""From a folder of images to entries of params.yaml: recognised, taken in, looked at, timed, written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.config import Params
from sightline.data.raw.preparation import prepare
from sightline.data.raw.recognition import Candidate
from sightline.labs.start.chooser import ROLES, Chooser, Tell, checked
from sightline.labs.start.describing import described
from sightline.labs.start.entries import Chosen, Entry, with_entries, write_entries
from sightline.labs.start.facts import Facts, gather
from sightline.labs.start.taking import Way, chosen_way, destination, give_back, take_in, track
from sightline.pipeline.durations import write_expected
from sightline.pipeline.refreshing import refresh
from sightline.system.errors import UserError

FEWEST = 12  # images
WORK = Path(".sightline/start")


@dataclass(frozen=True)
class Started:
    """What was written.

    Attributes:
        name: of the data set.
        facts: of it.
        models: names of heads and networks.
        seconds: expected, by stage.
        notes: what the user should know.
    """

    name: str
    facts: Facts
    models: tuple[str, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...]


def start(
    folder: Path,
    candidate: Candidate,
    task: str,
    *,
    project: Path,
    text: str,
    name: str,
    minutes: float,
    way: Way,
    mirror: Callable[[Facts], bool],
    tell: Tell,
) -> Started:
    """Take a folder into a project and write its data set and models into params.yaml.

    Args:
        folder: of images.
        candidate: what it is, with its root as given.
        task: kind of task.
        project: its folder, with a dvc.yaml; also the working directory.
        text: of params.yaml, to which entries are added.
        name: of the data set.
        minutes: for everything.
        way: how the images are taken in.
        mirror: answers whether mirrored images are as good as the others.
        tell: shows a line.

    Raises:
        UserError: names that exist, data that cannot be prepared; params.yaml stays as it was.
    """
    if candidate.samples < FEWEST:
        raise UserError(
            f"{folder}: {candidate.samples} images are too few to learn from, to choose by and to test on; "
            f"a class needs about 10, better 50 or more"
        )
    way = chosen_way(folder, project, way)
    target = destination(folder, project, name, way)
    section = _section(candidate, folder, target)
    entries: dict[str, dict[str, Entry]] = {"datasets": {name: section}}
    params = checked(with_entries(text, {**entries, **_placeholder(name, task)}, "params.yaml"))
    taken = take_in(folder, project, target, way)
    try:
        chosen = _chosen(name, task, params, text, entries, minutes, mirror, tell)
        write_entries(Path("params.yaml"), with_entries(text, chosen.entries, "params.yaml"))
    except BaseException:
        if taken:
            give_back(project, target)
        raise
    finally:
        shutil.rmtree(WORK / name, ignore_errors=True)
    tell(track(project, target))
    refresh(project)
    write_expected(project, chosen.seconds)
    models = (*chosen.entries.get("heads", {}), *chosen.entries.get("models", {}))
    notes = [f"{key}: {why}" for key, why in candidate.notes]
    return Started(name, chosen.facts, models, chosen.seconds, (*notes, *chosen.notes))


@dataclass(frozen=True)
class _Choice:
    facts: Facts
    entries: dict[str, dict[str, Entry]]
    seconds: dict[str, float]
    notes: tuple[str, ...]


def _chosen(
    name: str,
    task: str,
    params: Params,
    text: str,
    entries: dict[str, dict[str, Entry]],
    minutes: float,
    mirror: Callable[[Facts], bool],
    tell: Tell,
) -> _Choice:
    """Prepare the data set in a folder of its own, look at it and choose models."""
    started = time.perf_counter()
    prepared = WORK / name / "prepared"
    prepare(name, params.datasets[name], prepared, progress=True)
    preparing = time.perf_counter() - started
    facts = gather(task, prepared)
    tell("\n".join(described(facts, name)))
    chooser = Chooser(name, facts, text, entries, prepared, params.seed, minutes, mirror(facts), tell)
    written, seconds, notes = chooser.choose(preparing)
    return _Choice(facts, written, seconds, tuple(notes))


def _section(candidate: Candidate, folder: Path, target: Path) -> Entry:
    """Return the entry of the data set, its root where the images will be."""
    inner = Path(candidate.section["root"]).relative_to(folder)
    why = dict(candidate.notes)
    section = {**candidate.section, "root": (target / inner).as_posix()}
    section["format"] = Chosen(section["format"], candidate.seen)
    return {key: Chosen(value, why[key]) if key in why else value for key, value in section.items()}


def _placeholder(name: str, task: str) -> dict[str, dict[str, Entry]]:
    """Return a model of the task, so that the data set's entry can be checked before one is chosen."""
    if task in ROLES:
        return {"models": {f"{name}-{ROLES[task]}": {"dataset": name, "task": task}}}
    features: Entry = {"dataset": name, "input": {"size": 128, "channels": 3}, "extractor": {"kind": "gabor"}}
    head: Entry = {"dataset": name, "features": f"{name}-features", "kind": "patch_core"}
    return {"features": {f"{name}-features": features}, "heads": {f"{name}-head": head}}
