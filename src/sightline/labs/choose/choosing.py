"""The whole of a search for one model: its data, its place, its trials, its winner, its report."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline.config.metrics import of_kind, smaller_is_better
from sightline.config.optimizers import Evolution, NaturalEvolution
from sightline.labs.choose.cost import Limits
from sightline.labs.choose.halves import SHARE, parts_of
from sightline.labs.choose.journal import Journal, alone
from sightline.labs.choose.outcome import Outcome, estimate_of
from sightline.labs.choose.project_copy import ProjectCopy
from sightline.labs.choose.report import write_report
from sightline.labs.choose.search import Search, ranking
from sightline.labs.choose.settings import Settings
from sightline.labs.choose.space import space_of
from sightline.labs.choose.trials import WEIGHTS, DvcTrials, write_part
from sightline.labs.start.chooser import published
from sightline.pipeline.refreshing import refresh
from sightline.pipeline.stamps import CODE, STAMPS
from sightline.pipeline.store import DvcStore, last_outputs
from sightline.registry.tracking import Connection, Searches
from sightline.system.errors import UserError
from sightline.system.files import read_json

CHOOSE = Path(".sightline/choose")  # a database, curves and checkpoints of each search; outside git and DVC
REPORTS = Path("reports/choose")
_CLOSING = 10.0  # seconds kept for the winner and the report
Tell = Callable[[str], None]


def choose(
    root: Path, text: str, name: str, seconds: float, limits: Limits, tell: Tell = print
) -> tuple[Outcome, Path]:
    """Search for the best settings of a model; return what was found, and the page that was written.

    Args:
        root: of the project, also the working directory.
        text: of params.yaml.
        name: of the model.
        seconds: for the whole search, all its runs together.
        limits: of latency and size.
        tell: shows a line.

    Raises:
        UserError: no such model, data that cannot be prepared, too few validation images, or nothing can be trained.
    """
    settings = Settings(text, name)
    model = settings.model
    if isinstance(model.optimizer, Evolution | NaturalEvolution):
        raise UserError(
            f"models.{name}.optimizer: {model.optimizer.name}: has no steps that could be timed; nothing to choose"
        )
    refresh(root)
    before = _stages_before(root, f"train@{name}")
    bring_up_to_date(root, before, tell)
    prepared = root / "data/prepared" / model.dataset
    for_choosing, for_reporting = parts_of(prepared)
    metric = settings.params.evaluation.headline.get(name) or of_kind(model.task.kind)[0][0]
    context = _context(root, settings, before, metric)
    work = root / CHOOSE / name
    space = space_of(model, settings.written, [one.name for one in published(root / WEIGHTS) if one.at_hand])
    tell(
        f"{name}: {len(list(space.all()))} candidates; {len(for_choosing)} validation images choose, "
        f"{len(for_reporting)} others report"
    )
    with alone(work / "lock") as lock:
        journal = Journal(root / CHOOSE / f"{name}.db", context)
        journal.tick()
        searches = Searches(connection := Connection(root))
        params = {"model": name, "minutes": seconds / 60, **asdict(limits), "metric": metric}
        parent = searches.begin(f"choose {name}", params, journal.noted("mlflow"))
        journal.note("mlflow", parent)
        part = write_part(prepared, for_choosing, work / "parts" / "choose")
        with ProjectCopy(root, work / "copy", work / "resume", before) as project:
            trials = DvcTrials(
                settings,
                project,
                journal,
                part,
                context,
                work / "trials",
                seconds,
                limits,
                space.sizes,
                parent,
                connection.uri,
                lock,
                tell,
            )
            trials.stopped = lambda: searches.stop_children(parent)
            search = Search(
                space,
                journal,
                trials,
                seconds - _CLOSING,
                settings.params.seed_of(name),
                smaller_is_better(metric),
                limits,
                tell,
            )
            search.run()
            outcome = _outcome(root, settings, search, trials, metric, work, for_reporting)
        page = write_report(root / REPORTS, outcome)
        searches.end(parent, _measures(outcome), [page, page.with_suffix(".json")])
        journal.close()
    return outcome, page


def _stages_before(root: Path, stage: str) -> list[str]:
    """Return the stages whose outputs a stage needs, directly or not, in DVC's order."""
    needs = DvcStore(root).stage_needs()
    if stage not in needs:
        raise UserError(f"dvc.yaml: has no stage {stage}; run `sightline check`, which updates pipelines/dag.yaml")
    found: set[str] = set()
    open_ones = [stage]
    while open_ones:
        more = needs[open_ones.pop()] - found - {CODE}
        found |= more
        open_ones += more
    return [one for one in needs if one in found]


def bring_up_to_date(root: Path, stages: list[str], tell: Tell) -> None:
    """Run the stages before the training, those that have changed.

    Raises:
        UserError: one fails.
    """
    changed = DvcStore(root).stages_to_run() & set(stages)
    if not changed:
        return
    tell(f"first: dvc repro {' '.join(one for one in stages if one in changed)}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *stages]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PATH": path}, check=False)
    if done.returncode:
        raise UserError(f"{', '.join(stages)}: failed, see above")


def _context(root: Path, settings: Settings, before: list[str], metric: str) -> str:
    """Return a hash of what decides the results besides a candidate's settings: data, code, metric."""
    data = {path: md5 for stage in before for path, md5 in (last_outputs(root, stage) or {}).items()}
    prepared = f"data/prepared/{settings.model.dataset}"
    learned = {f"{prepared}/{name}" for name in ("train", "val", "labels.json")}
    data = {path: md5 for path, md5 in data.items() if not path.startswith(f"{prepared}/") or path in learned}
    stamp = root / STAMPS / "train" / f"{settings.name}.json"
    code = read_json(stamp)["code"] if stamp.is_file() else {}
    whole = {
        "data": data,
        "code": code,
        "metric": metric,
        "share": SHARE,
        "model": settings.model.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _outcome(
    root: Path,
    settings: Settings,
    search: Search,
    trials: DvcTrials,
    metric: str,
    work: Path,
    for_reporting: list[str],
) -> Outcome:
    """Measure the winner once on the images that had no part in choosing it."""
    records = search.journal.records()
    ranked = ranking(records, search.smaller, search.limits)
    winner = ranked[0] if ranked else None
    naive = reported = None
    changes: dict[str, Any] = {}
    if winner is not None:
        chosen = trials.chosen(winner.candidate)
        assert chosen is not None
        changes = settings.changes(winner.candidate, trials.most_epochs(winner.candidate))
        naive = estimate_of(winner.found)
        part = write_part(trials.prepared, for_reporting, work / "parts" / "report")
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / settings.name
            DvcStore(root).restore(winner.found["model_md5"], model, f"trial {winner.number}")
            reported = estimate_of(trials.measured(model, part, chosen))
    return Outcome(
        settings.name,
        settings.model.dataset,
        metric,
        search.smaller,
        settings.params.evaluation.confidence,
        search.limits,
        trials.budget,
        search.journal.spent(),
        tuple(records),
        tuple(search.left_out.items()),
        winner,
        naive,
        reported,
        changes,
    )


def _measures(outcome: Outcome) -> dict[str, float]:
    found = {"trials": float(len(outcome.records)), "seconds": outcome.spent}
    for name, estimate in (("reported", outcome.reported), ("naive", outcome.naive)):
        if estimate is not None:
            found |= {f"{name}/{outcome.metric}": estimate.value}
            found |= {f"{name}/{outcome.metric}_{end}": getattr(estimate, end) for end in ("low", "high")}
    return found
