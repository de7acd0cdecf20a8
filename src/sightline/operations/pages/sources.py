"""What a page is made of: the files of a model and what was decided on it, and a hash of them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sightline.operations.advice import Candidate
from sightline.pipeline.notes import DURATIONS
from sightline.registry.ledger import Entry, Ledger
from sightline.registry.outcomes import Outcome
from sightline.registry.release import Release, read_release
from sightline.system.files import read_json
from sightline.training.heads import LEARNING_CURVE

_OF_MODEL = ("train", "fit_head", "evaluate", "explain", "quantise", "release")


@dataclass(frozen=True)
class Sources:
    """The paths of the parts of one model's page; any of them may be missing but the evaluation.

    Attributes:
        name: of the model or head.
        dataset: its data set.
        stage: that makes its release, e.g. release@NAME.
        root: of the project.
        history: the decisions on models of this name, oldest first.
        outcome: what the registry holds of the released model, None if it is not registered.
        peers: the models and heads of its data set, with itself, that advice is drawn from.
    """

    name: str
    dataset: str
    stage: str
    root: Path
    history: list[Entry]
    outcome: Outcome | None
    peers: tuple[Candidate, ...] = ()

    @property
    def report(self) -> Path:
        """Folder of its reports, and of its page."""
        return self.root / "reports" / self.name

    @property
    def evaluation(self) -> Path:
        """Folder of its evaluation."""
        return self.report / "evaluation"

    @property
    def prepared(self) -> Path:
        """Folder of its data set."""
        return self.root / "data" / "prepared" / self.dataset

    @property
    def page(self) -> Path:
        """The page."""
        return self.report / "index.html"

    def is_evaluated(self) -> bool:
        """Return whether there is anything to show."""
        return (self.evaluation / "metrics.json").is_file()

    def metrics(self) -> dict[str, Any]:
        """Return the metrics, with what the export to ONNX was found to differ by, wherever it is kept."""
        own: dict[str, Any] = read_json(self.evaluation / "metrics.json")
        beside = self.report / "metrics.json"
        onnx = read_json(beside).get("onnx") if beside.is_file() and "onnx" not in own else None
        return own if onnx is None else {**own, "onnx": onnx}

    def release(self) -> Release | None:
        """Return the released model, None if there is none yet."""
        path = self.root / "release" / f"{self.name}.json"
        return read_release(path) if path.is_file() else None

    def optional(self, path: str) -> Any:
        """Return a JSON file of the project, None if it is missing."""
        place = self.root / path
        return read_json(place) if place.is_file() else None

    def files(self) -> Iterator[Path]:
        """Yield every file that the page may show."""
        folders = [self.evaluation, self.report / "training", self.report / "explanations"]
        single = [
            self.report / "metrics.json",
            self.root / "models" / self.name / "model.json",
            self.root / "models" / f"{self.name}.int8" / "int8.json",
            self.root / "release" / f"{self.name}.json",
        ]
        others = [self.root / "reports" / peer.name for peer in self.peers if peer.name != self.name]
        advising = [
            *(folder / "evaluation" / name for folder in others for name in ("metrics.json", "predictions.parquet")),
            *(folder / "training" / LEARNING_CURVE for folder in others),
        ]
        yield from (path for folder in folders for path in sorted(folder.glob("*")) if path.is_file())
        times = [self.root / DURATIONS / f"{stage}.json" for stage in self.stages()]
        yield from (path for path in [*single, *data_files(self.prepared), *times, *advising] if path.is_file())

    def stages(self) -> list[str]:
        """Return the stages that make the model and its data, whose times are shown: not the one that writes pages."""
        return [*(f"{kind}@{self.name}" for kind in _OF_MODEL), f"prepare@{self.dataset}"]

    def digest(self) -> str:
        """Return the hash of all that the page is made of, the code of pages included."""
        decided = [entry.model_dump_json() for entry in self.history]
        place = (self.outcome.model_md5, self.outcome.version, self.outcome.numbers) if self.outcome else None
        peers = [[peer.name, peer.role] for peer in self.peers]
        told = json.dumps([self.name, self.dataset, decided, place, peers])
        return _hash([code_digest(), told], self.files(), self.root)


def data_files(prepared: Path) -> list[Path]:
    """Return the files of a data set that pages show."""
    return [prepared / name for name in ("card.json", "quarantine.csv", "samples.png", "averages.png")]


def model_sources(
    name: str,
    dataset: str,
    stage: str,
    root: Path,
    outcomes: list[Outcome],
    ledger: Ledger,
    peers: tuple[Candidate, ...] = (),
) -> Sources:
    """Return the sources of one model's page."""
    outcome = next((one for one in outcomes if one.name == name), None)
    return Sources(name, dataset, stage, root, ledger.of(name), outcome, peers)


def code_digest() -> str:
    """Return the hash of the code and the templates that make pages."""
    parts = [
        files("sightline") / package
        for package in ("operations/pages", "operations/pages/templates", "operations/advice", "evaluation/report")
    ]
    found = sorted(
        (str(place), place)
        for part in parts
        for place in part.iterdir()
        if place.name.endswith((".py", ".html", ".css", ".js"))
    )
    digest = hashlib.sha256()
    for _, place in found:
        digest.update(place.read_bytes())
    return digest.hexdigest()


def _hash(texts: list[str], paths: Iterator[Path], root: Path) -> str:
    digest = hashlib.sha256("\n".join(texts).encode())
    for path in paths:
        digest.update(f"\n{path.relative_to(root)}\n".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
