"""The registry of one project: what the ledger and DVC's cache hold, brought into MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sightline.config import Params
from sightline.pipeline.store import DvcStore, git_dirty, git_sha, lock_md5
from sightline.registry.ledger import Entry, Ledger
from sightline.registry.release import Folders, Release, folders, headline_text
from sightline.registry.tracking import (
    INT8_FILES,
    INT8_TAG,
    VERSION_TAG,
    Connection,
    DataSource,
    Runs,
    Version,
    Versions,
)
from sightline.system.errors import UserError
from sightline.system.files import read_json, work_folder
from sightline.training.artifact.int8 import int8_folder

Report = Callable[[str], None]
LEDGER_TAG = "sightline.registry.ledger"  # on a shared server: the newest decision that its aliases follow


@dataclass(frozen=True)
class MadeBy:
    """The commit and `dvc.lock` that made a model, and whether what makes it differed from the commit."""

    git_sha: str | None
    lock_md5: str | None
    git_dirty: bool | None


class Registry:
    """The ledger, DVC's cache and MLflow."""

    def __init__(self, params: Params, root: Path, report: Report) -> None:
        if find_spec("mlflow") is None:
            raise UserError("mlflow is not installed; `pip install mlflow`")
        self.params, self.root, self.report = params, root, report
        self.ledger, self.store = Ledger(root / "registry" / "ledger.jsonl"), DvcStore(root)
        connection = Connection(root)
        self.shared = connection.shared
        self.runs, self.versions = Runs(connection), Versions(connection)

    def check_ledger(self, name: str) -> None:
        """Refuse to decide from a ledger that lacks decisions which the aliases on a shared server follow.

        Raises:
            UserError: another clone of the project has decided since.
        """
        head = self.versions.model_tag(name, LEDGER_TAG) if self.shared else None
        if head is not None and not self.ledger.knows(name, head):
            raise UserError(
                f"{self.ledger.path.relative_to(self.root)}: lacks the newest decision on {name} that MLflow's aliases "
                "follow: another clone made it; get its ledger (`git pull`) and run this again, or delete the "
                f"tag {LEDGER_TAG} of the registered model to continue without it"
            )

    def released_version(self, release: Release) -> Version:
        """Return the version of a released model, made from the workspace where there is none yet."""
        places = folders(release.name, self.root)
        run = self._run(release.name, places, release.evaluation_md5)
        found = self.versions.find(release.name, release.model_md5)
        if found is not None:
            self.runs.keep_one(run, found.run)
            self._match_int8(found, int8_folder(places.model), release.int8_md5)
            return found
        if self.store.directory_md5(places.model) != release.model_md5:
            raise UserError(f"{places.model}: differs from release/{release.name}.json; run `dvc repro`")
        version = self._create(release.name, run, places, release.model_md5, self.made_by(release))
        self._match_int8(version, int8_folder(places.model), release.int8_md5)
        return version

    def version_of(self, entry: Entry) -> Version:
        """Return the version of a model in the ledger, restored from DVC's cache where MLflow has lost it."""
        found = self.versions.find(entry.name, entry.model_md5)
        if found is not None:
            return found
        self.report(f"{entry.name}: MLflow has no version of {entry.model_md5[:8]}; restored from DVC's cache")
        with self.work_folder() as work:
            places = Folders(work / "model", work / "training", work / "evaluation")
            self.store.restore(entry.model_md5, places.model, f"{entry.name}'s model")
            self.store.restore(entry.training_md5, places.training, f"{entry.name}'s training report")
            self.store.restore(entry.evaluation_md5, places.evaluation, f"{entry.name}'s evaluation")
            run = self._run(entry.name, places, entry.evaluation_md5)
            made_by = MadeBy(entry.git_sha, entry.lock_md5, entry.git_dirty)
            version = self._create(entry.name, run, places, entry.model_md5, made_by)
            if entry.int8_md5 is not None:
                self.store.restore(entry.int8_md5, int8_folder(places.model), f"{entry.name}'s int8 network")
                self._match_int8(version, int8_folder(places.model), entry.int8_md5)
            return version

    def point(self, name: str, aliases: dict[str, str]) -> None:
        """Set `champion` and `challenger` to these versions, removing what is not named."""
        present = self.versions.aliases(name)
        for alias in ("champion", "challenger"):
            if alias in aliases and present.get(alias) != aliases[alias]:
                self.versions.set_alias(name, alias, aliases[alias])
            elif alias in present and alias not in aliases:
                self.versions.delete_alias(name, alias)
        head = self.ledger.head(name)
        if self.shared and head is not None and self.versions.model_tag(name, LEDGER_TAG) != head:
            self.versions.set_model_tag(name, LEDGER_TAG, head)

    def tag(self, version: Version) -> None:
        """Write the newest decision on a version next to it."""
        model_md5 = version.tags[VERSION_TAG]
        entry = self.ledger.last_on(version.name, model_md5)
        if entry is not None:
            reason = self.ledger.reason(version.name, model_md5)
            self.versions.tag(version, {"gate.decision": entry.decision, "gate.reason": reason, **_figures(entry)})
            own = next(e for e in reversed(self.ledger.of(version.name)) if e.model_md5 == model_md5)
            self.versions.describe(version, f"{headline_text(own.headline)}; {entry.decision}: {reason}")

    def made_by(self, release: Release) -> MadeBy:
        """Return commit and lock of the model: those of its first decision, else the present ones."""
        known = next((e for e in self.ledger.of(release.name) if e.model_md5 == release.model_md5), None)
        if known:
            return MadeBy(known.git_sha, known.lock_md5, known.git_dirty)
        return MadeBy(git_sha(self.root), lock_md5(self.root), git_dirty(self.root))

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Yield an empty folder that is gone afterwards."""
        with work_folder(own_folder(self.root)) as folder:
            yield folder

    def _run(self, name: str, places: Folders, evaluation_md5: str) -> str:
        model = read_json(places.model / "model.json")
        weights = model["weights_sha256"]
        run = self.runs.find(name, weights) or self.runs.replay(name, weights, places.training)
        dataset = self.params.dataset_of(name)
        data = DataSource(dataset, f"data/prepared/{dataset}", model["data_sha256"])
        self.runs.add_evaluation(run, evaluation_md5, places.evaluation, data)
        return run

    def _create(self, name: str, run: str, places: Folders, model_md5: str, made_by: MadeBy) -> Version:
        tags = {VERSION_TAG: model_md5}
        named = {"git.sha": made_by.git_sha, "dvc.lock.md5": made_by.lock_md5}
        tags |= {key: value for key, value in named.items() if value}
        version = self.versions.create(name, run, places.model, tags)
        self.runs.keep_one(run, version.run)
        self.report(f"{name}: registered version {version.number}")
        return version

    def _match_int8(self, version: Version, folder: Path, md5: str) -> None:
        """Put the network in integers next to a version's model, unless the very same is there; or take it back.

        Args:
            version: of the model.
            folder: with the network.
            md5: of the folder; "" where none is released, also none that once was.

        Raises:
            UserError: the folder is not the released one.
        """
        present = version.tags.get(INT8_TAG, "")
        if present == md5:
            return
        if not md5:
            self.versions.tag(version, {INT8_TAG: ""})  # files without the tag are not used
            self.report(f"{version.name}: version {version.number} has no model.int8.onnx any more")
            return
        if self.store.directory_md5(folder) != md5:
            raise UserError(f"{folder}: differs from release/{version.name}.json; run `dvc repro`")
        self.versions.add_files(version, folder, INT8_FILES)
        self.versions.tag(version, {INT8_TAG: md5})
        self.report(f"{version.name}: version {version.number} has model.int8.onnx")


def _figures(entry: Entry) -> dict[str, str]:
    """Return code and figures of a decision as tags, "" if there are none, in place of those of an earlier one."""
    numbers = {"gain": entry.gain, "low": entry.low, "high": entry.high}
    guards = {check.metric: check.value for check in entry.guards}
    return {
        "gate.code": entry.code or "",
        "gate.metric": str(entry.headline["name"]),
        **{f"gate.{name}": "" if value is None else f"{value:.6g}" for name, value in numbers.items()},
        "gate.guards": ", ".join(f"{name} {value}" for name, value in guards.items()),
        **({"gate.budget": "; ".join(check.told for check in entry.budget)} if entry.budget else {}),
    }


def own_folder(root: Path) -> Path:
    """Return the project's folder for what may be deleted at any time."""
    folder = root / ".sightline"
    folder.mkdir(exist_ok=True)
    return folder
