"""The whole of a search for one model: its data, its place, its trials, its winner, its report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from sightline.config.metrics import of_kind, smaller_is_better
from sightline.config.optimizers import Evolution, NaturalEvolution
from sightline.labs.choose.cost import Limits
from sightline.labs.choose.halves import parts_of
from sightline.labs.choose.inputs import bring_up_to_date, context_of, stages_before
from sightline.labs.choose.journal import Journal, Record, alone
from sightline.labs.choose.measuring import measured, write_part
from sightline.labs.choose.outcome import Estimate, Outcome, estimate_of
from sightline.labs.choose.project_copy import ProjectCopy
from sightline.labs.choose.ranking import ranking
from sightline.labs.choose.report import write_report
from sightline.labs.choose.search import Search
from sightline.labs.choose.settings import Settings
from sightline.labs.choose.space import Space, space_of
from sightline.labs.choose.times import TrainingTimes
from sightline.labs.choose.trials import DvcTrials
from sightline.labs.start.chooser import WEIGHTS, published
from sightline.pipeline.refreshing import refresh
from sightline.pipeline.store import DvcStore
from sightline.registry.tracking import PARENT, Connection, Searches
from sightline.system.errors import UserError

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
    before = stages_before(root, f"train@{name}")
    bring_up_to_date(root, before, tell)
    for_choosing, for_reporting = parts_of(root / "data/prepared" / model.dataset)
    space = space_of(model, settings.written, [one.name for one in published(root / WEIGHTS) if one.at_hand])
    tell(
        f"{name}: {len(list(space.all()))} candidates; {len(for_choosing)} validation images choose, "
        f"{len(for_reporting)} others report"
    )
    metric = settings.params.evaluation.headline.get(name) or of_kind(model.task.kind)[0][0]
    context = context_of(root, settings, before, metric)
    searches = Searches(connection := Connection(root))
    params = {"model": name, "minutes": seconds / 60, **asdict(limits), "metric": metric}
    work = root / CHOOSE / name
    with alone(work / "lock") as lock, closing(Journal(root / CHOOSE / f"{name}.db", context)) as journal:
        journal.tick()
        parent = searches.begin(f"choose {name}", params, journal.noted("mlflow"))
        journal.note("mlflow", parent)
        prepared = root / "data/prepared" / model.dataset
        with searches.running(parent), ProjectCopy(root, work / "copy", work / "resume", before) as project:
            trials = DvcTrials(
                TrainingTimes(settings, journal, prepared, seconds, space.sizes, tell),
                project,
                write_part(prepared, for_choosing, work / "parts" / "choose"),
                context,
                work / "trials",
                limits,
                {PARENT: parent, "MLFLOW_TRACKING_URI": connection.uri},
                lock,
                lambda: searches.stop_children(parent),
            )
            search = _searched(settings, space, trials, seconds - _CLOSING, metric, tell)
            outcome = _outcome(root, search, trials, metric, work / "parts" / "report", for_reporting)
            page = write_report(root / REPORTS, outcome)
            searches.end(parent, _measures(outcome), [page, page.with_suffix(".json")])
    return outcome, page


def _searched(settings: Settings, space: Space, trials: DvcTrials, seconds: float, metric: str, tell: Tell) -> Search:
    """Return a search when its time is over."""
    seed, smaller = settings.params.seed_of(settings.name), smaller_is_better(metric)
    search = Search(space, trials.journal, trials, seconds, seed, smaller, trials.limits, tell)
    search.run()
    return search


def _outcome(
    root: Path, search: Search, trials: DvcTrials, metric: str, folder: Path, for_reporting: Sequence[str]
) -> Outcome:
    """Return what a search has found."""
    settings, records = trials.settings, search.journal.records()
    ranked = ranking(records, search.smaller, search.limits)
    winner = ranked[0] if ranked else None
    return Outcome(
        model=settings.name,
        dataset=settings.model.dataset,
        metric=metric,
        smaller=search.smaller,
        confidence=settings.params.evaluation.confidence,
        limits=search.limits,
        seconds=trials.times.budget,
        spent=search.journal.spent(),
        records=tuple(records),
        left_out=tuple(search.left_out.items()),
        winner=winner,
        naive=None if winner is None else estimate_of(winner.found),
        reported=None if winner is None else _reported(root, winner, trials, folder, for_reporting),
        changes={}
        if winner is None
        else settings.changes(winner.candidate, trials.times.most_epochs(winner.candidate)),
    )


def _reported(root: Path, winner: Record, trials: DvcTrials, folder: Path, ids: Sequence[str]) -> Estimate:
    """Measure the winner once on the images that had no part in choosing it."""
    part = write_part(trials.times.prepared, ids, folder)
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary) / trials.settings.name
        DvcStore(root).restore(winner.found["model_md5"], model, f"trial {winner.number}")
        return estimate_of(measured(model, part, trials.settings.params.evaluation, trials.metric))


def _measures(outcome: Outcome) -> dict[str, float]:
    found = {"trials": float(len(outcome.records)), "seconds": outcome.spent}
    for name, estimate in (("reported", outcome.reported), ("naive", outcome.naive)):
        if estimate is not None:
            found |= {f"{name}/{outcome.metric}": estimate.value}
            found |= {f"{name}/{outcome.metric}_{end}": getattr(estimate, end) for end in ("low", "high")}
    return found
