"""Registers released models: releases, ledger and DVC's cache in; runs, versions and aliases of MLflow out.

Decisions live in the ledger and bytes in DVC's cache; MLflow is only their projection. A decision is therefore written
to the ledger before an alias moves, and whatever MLflow lacks is made again from the two.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sightline import __version__
from sightline.config import Params
from sightline.config.evaluation import Evaluation
from sightline.dvc_store import DvcStore, git_sha, lock_md5
from sightline.errors import UserError
from sightline.files import read_json, write_json
from sightline.gate import Scores, decide
from sightline.ledger import Entry, Ledger, now
from sightline.release import Folders, Release, folders, read_release, read_scores
from sightline.tracking import VERSION_TAG, DataSource, Tracker, Version, tracking_uri

# (model directory, prepared data, settings, folder to write): predicts the test split, as `evaluate.evaluate_model`.
Evaluate = Callable[[Path, Path, Evaluation, Path], object]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one model; `alias` is the one that its released version carries now."""

    name: str
    task: str
    headline: dict[str, Any]
    version: str
    alias: Literal["champion", "challenger"]
    decision: Literal["promote", "refuse", "rollback", "unchanged"]
    reason: str

    def headline_text(self) -> str:
        """Return the headline metric with its interval, where it has one."""
        value = f"{self.headline['name']} {self.headline['value']:.4f}"
        bounds = [self.headline.get(bound) for bound in ("low", "high")]
        return value if None in bounds else f"{value} [{bounds[0]:.4f}, {bounds[1]:.4f}]"


def register(params: Params, root: Path, evaluate_champion: Evaluate, report: Report) -> list[Outcome]:
    """Bring MLflow in line with the releases of the models in `params`, and judge the new ones.

    Raises:
        UserError: after all models were tried, with one block of lines for each that failed.
    """
    if experiment := os.environ.get("DVC_EXP_NAME"):
        report(f"experiment {experiment}: nothing is registered; apply it with `dvc exp apply` to register its models")
        return []
    root = root.resolve()
    releases = [path for name in params.models if (path := root / "release" / f"{name}.json").exists()]
    with _alone(root):
        if known := _known_outcomes(root, releases):
            _remember(root, releases, known)
            return known
        registry, outcomes, mistakes = _Registry(params, root, evaluate_champion, report), [], []
        for path in releases:
            try:
                outcomes.append(registry.publish(read_release(path)))
            except UserError as error:
                mistakes += [f"{path.stem}: {line}" for line in error.lines]
        if mistakes:
            raise UserError(mistakes)
        _remember(root, releases, outcomes)
    return outcomes


def rollback(name: str, params: Params, root: Path, report: Report) -> Version:
    """Make the champion before the present one champion again; the present one stays out from then on."""
    root = root.resolve()
    with _alone(root):
        registry = _Registry(params, root, _no_evaluation, report)
        line = registry.ledger.champions_of(name)
        if len(line) < 2:
            raise UserError(f"{name}: no earlier champion to go back to")
        present, previous = line[-1], line[-2]
        version = registry.version_of(previous)
        reason = f"rolled back by hand from {present.model_md5[:8]} to {previous.model_md5[:8]}"
        changes = {"decision": "rollback", "reason": reason, "champion_md5": present.model_md5, "time": now()}
        comparison = {"gain": None, "low": None, "high": None}
        registry.ledger.append(previous.model_copy(update={**changes, **comparison}))
        registry.point(name, {"champion": version.number})
        report(f"{name}: {reason}")
        return version


def last_outcomes(root: Path) -> list[Outcome]:
    """Return what the last complete `register` found."""
    path = _state_file(root.resolve())
    return [Outcome(**values) for values in read_json(path)["outcomes"]] if path.exists() else []


class _Registry:
    """The ledger, DVC's cache and MLflow of one project."""

    def __init__(self, params: Params, root: Path, evaluate: Evaluate, report: Report) -> None:
        if find_spec("mlflow") is None:
            raise UserError("mlflow is not installed; `pip install sightline[ops]`")
        self.params, self.root, self.evaluate, self.report = params, root, evaluate, report
        self.ledger = Ledger(root / "registry" / "ledger.jsonl")
        self.store, self.tracker = DvcStore(root), Tracker(root)

    def publish(self, release: Release) -> Outcome:
        """Register one release, judge it if it is new, and point the aliases."""
        version = self._released_version(release)
        entry = self._judge(release, self.ledger.champion_of(release.name))
        if entry is not None:
            self.ledger.append(entry)  # before any alias moves: a crash from here on is healed by the next run
            self.report(f"{release.name}: {entry.decision}: {entry.reason}")
        champion = self.ledger.champion_of(release.name)
        if champion is None:
            raise AssertionError("the first model judged is promoted")
        leads = champion.model_md5 == release.model_md5
        aliases = {"champion": version.number}
        if not leads:
            aliases = {"champion": self.version_of(champion).number, "challenger": version.number}
        self.point(release.name, aliases)
        last = self.ledger.last_on(release.name, release.model_md5)
        if last is not None:
            self.tracker.tag_version(version, {"gate.decision": last.decision, "gate.reason": last.reason})
        reason = last.reason if last is not None else "judged before"
        decision = entry.decision if entry is not None else "unchanged"
        alias: Literal["champion", "challenger"] = "champion" if leads else "challenger"
        return Outcome(release.name, release.task, release.headline, version.number, alias, decision, reason)

    def point(self, name: str, aliases: dict[str, str]) -> None:
        """Set `champion` and `challenger` to these versions, removing what is not named."""
        present = self.tracker.aliases(name)
        for alias in ("champion", "challenger"):
            if alias in aliases and present.get(alias) != aliases[alias]:
                self.tracker.set_alias(name, alias, aliases[alias])
            elif alias in present and alias not in aliases:
                self.tracker.delete_alias(name, alias)

    def version_of(self, entry: Entry) -> Version:
        """Return the version of a model in the ledger, made again from DVC's cache where MLflow has lost it."""
        found = self.tracker.find_version(entry.name, entry.model_md5)
        if found is not None:
            return found
        self.report(f"{entry.name}: MLflow has no version of {entry.model_md5[:8]}; made again from DVC's cache")
        with self._work_folder() as work:
            places = Folders(work / "model", work / "training", work / "evaluation")
            self.store.restore(entry.model_md5, places.model, f"{entry.name}'s model")
            self.store.restore(entry.training_md5, places.training, f"{entry.name}'s training report")
            self.store.restore(entry.evaluation_md5, places.evaluation, f"{entry.name}'s evaluation")
            run = self._run(entry.name, places, entry.evaluation_md5)
            return self._create(entry.name, run, places, entry.model_md5, (entry.git_sha, entry.lock_md5))

    def _released_version(self, release: Release) -> Version:
        places = folders(release.name, self.root)
        run = self._run(release.name, places, release.evaluation_md5)
        found = self.tracker.find_version(release.name, release.model_md5)
        if found is not None:
            return found
        if self.store.directory_md5(places.model) != release.model_md5:
            raise UserError(f"{places.model}: differs from release/{release.name}.json; run `dvc repro`")
        made_by = self._made_by(release)
        return self._create(release.name, run, places, release.model_md5, made_by)

    def _run(self, name: str, places: Folders, evaluation_md5: str) -> str:
        model = read_json(places.model / "model.json")
        weights = model["weights_sha256"]
        run = self.tracker.find_run(name, weights) or self.tracker.replay_run(name, weights, places.training)
        dataset = self.params.models[name].dataset
        data = DataSource(dataset, f"data/prepared/{dataset}", model["data_sha256"])
        self.tracker.add_evaluation(run, evaluation_md5, places.evaluation, data)
        return run

    def _create(
        self, name: str, run: str, places: Folders, model_md5: str, made_by: tuple[str | None, str | None]
    ) -> Version:
        weights = read_json(places.model / "model.json")["weights_sha256"]
        tags = {VERSION_TAG: model_md5, "sightline.weights": weights}
        tags |= {key: value for key, value in zip(("git.sha", "dvc.lock.md5"), made_by, strict=True) if value}
        version = self.tracker.create_version(name, run, places.model, tags)
        self.report(f"{name}: registered version {version.number}")
        return version

    def _made_by(self, release: Release) -> tuple[str | None, str | None]:
        """Return commit and lock of the model: those of its first decision, else the present ones."""
        known = next((e for e in self.ledger.of(release.name) if e.model_md5 == release.model_md5), None)
        return (known.git_sha, known.lock_md5) if known else (git_sha(self.root), lock_md5(self.root))

    def _judge(self, release: Release, champion: Entry | None) -> Entry | None:
        """Return the decision on a release, None where it is champion or was judged before."""
        name, test_ids = release.name, release.test_ids_sha256
        champion_md5 = champion.model_md5 if champion else None
        if champion_md5 == release.model_md5:
            return None
        if self.ledger.judgement(name, release.model_md5, champion_md5, test_ids):
            return None
        sha, lock = self._made_by(release)
        entry = Entry(
            time=now(),
            name=name,
            decision="promote",
            model_md5=release.model_md5,
            training_md5=release.training_md5,
            evaluation_md5=release.evaluation_md5,
            champion_md5=champion_md5,
            reason="first version",
            test_ids=test_ids,
            headline=release.headline,
            promotions_on_test_set=self.ledger.promotions(name, test_ids),
            git_sha=sha,
            lock_md5=lock,
        )
        if champion is None:
            return entry
        places, settings = folders(name, self.root), self.params.evaluation
        challenger = read_scores(places.evaluation)
        classes = read_json(places.model / "model.json").get("labels", {}).get("classes", [])
        decision = decide(
            self._champion_scores(champion, release, challenger),
            challenger,
            self.params.gate,
            settings.resamples,
            settings.confidence,
            names=classes,
        )
        figures = {"gain": decision.gain, "low": decision.low, "high": decision.high}
        return entry.model_copy(update={"decision": decision.outcome, "reason": decision.reason, **figures})

    def _champion_scores(self, champion: Entry, release: Release, challenger: Scores) -> Scores:
        """Return the champion's scores on the challenger's test samples, predicted anew if its own are of others."""
        name, what = champion.name, f"the evaluation of {champion.name}'s champion"
        with self._work_folder() as work:
            if champion.test_ids == release.test_ids_sha256:
                self.store.restore(champion.evaluation_md5, work / "evaluation", what)
                scores = read_scores(work / "evaluation")
                if _same_labels(scores, challenger):
                    return scores
            self.report(f"{name}: the test samples have changed: the champion predicts the present ones")
            self.store.restore(champion.model_md5, work / "model", f"{name}'s champion")
            prepared = self.root / "data" / "prepared" / self.params.models[name].dataset
            self.evaluate(work / "model", prepared, self.params.evaluation, work / "anew")
            return read_scores(work / "anew")

    @contextmanager
    def _work_folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=_own_folder(self.root)) as folder:
            yield Path(folder)


def _same_labels(one: Scores, other: Scores) -> bool:
    if one.labels is None or other.labels is None:
        return True
    return np.array_equal(one.by_id().labels, other.by_id().labels)  # type: ignore[arg-type]


def _no_evaluation(*arguments: object) -> object:
    raise AssertionError("a rollback judges nothing")


# With a local SQLite file, a register that would find nothing new is known from the state of a few files, without
# MLflow's import. On a server anything may have changed, so it is always asked.


def _known_outcomes(root: Path, releases: list[Path]) -> list[Outcome]:
    path, state = _state_file(root), _state(root, releases)
    if state is None or not path.exists():
        return []
    try:
        known = read_json(path)
        if known["state"] != state:
            return []
        return [replace(Outcome(**values), decision="unchanged") for values in known["outcomes"]]
    except (ValueError, KeyError, TypeError):
        return []  # only a memo


def _remember(root: Path, releases: list[Path], outcomes: list[Outcome]) -> None:
    state = _state(root, releases)
    write_json(_state_file(root), {"state": state, "outcomes": [asdict(outcome) for outcome in outcomes]})


def _state(root: Path, releases: list[Path]) -> str | None:
    """Hash the releases, the ledger and the identity of MLflow's files; None where they are not local or not there."""
    uri = tracking_uri(root)
    database = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not database.is_file() or not (root / "mlartifacts").is_dir():
        return None
    ledger = root / "registry" / "ledger.jsonl"
    texts = [path.read_text(encoding="utf-8") for path in [*releases, ledger] if path.exists()]
    stats = [path.stat() for path in (database, Path(f"{database}-wal")) if path.exists()]
    files = [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]
    values = [__version__, uri, [str(path) for path in releases], texts, files]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _state_file(root: Path) -> Path:
    return root / ".sightline" / "registry.json"


def _own_folder(root: Path) -> Path:
    folder = root / ".sightline"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process changes the registry."""
    with (_own_folder(root) / "register.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
