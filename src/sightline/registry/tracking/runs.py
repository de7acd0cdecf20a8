"""Runs: found by the weights that they made, replayed from a training's files, completed with an evaluation."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.registry.tracking.connection import Connection
from sightline.registry.tracking.limits import short_key, short_params

WEIGHTS_TAG = "sightline.weights"  # set last: a run that has it is complete
EVALUATION_TAG = "sightline.evaluation"
_REPLAYING_TAG = "sightline.replaying"  # until it is whole: the weights whose run it will be


@dataclass(frozen=True)
class DataSource:
    """The data set that a model was measured on: its name, its folder relative to the project, its hash."""

    name: str
    path: str
    sha256: str


class Runs:
    """The runs of the project's experiment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._replayed: set[str] = set()

    def find(self, name: str, weights_sha256: str) -> str | None:
        """Return the newest complete run called `name` that made these weights."""
        condition = f"tags.`{WEIGHTS_TAG}` = '{weights_sha256}' and attributes.run_name = '{name}'"
        runs = self._connection.client.search_runs([self._connection.experiment], condition, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def replay(self, name: str, weights_sha256: str, training: Path) -> str:
        """Make the run that training would have logged, from the folder that it wrote."""
        from mlflow.entities import Param

        client = self._connection.client
        self._remove_unfinished(weights_sha256)
        tags = {"sightline.replayed": "true", _REPLAYING_TAG: weights_sha256}
        made = client.create_run(self._connection.experiment, run_name=name, tags=tags)
        run = str(made.info.run_id)
        values = short_params(json.loads((training / "training.json").read_text(encoding="utf-8")))
        params = [Param(key, value) for key, value in values.items()]
        for start in range(0, len(params), 100):
            client.log_batch(run, params=params[start : start + 100])
        if (training / "curves.csv").exists():  # a head has none
            self._log_metrics(run, _curves(training / "curves.csv"))
        client.log_artifacts(run, str(training), "training")
        client.set_terminated(run)
        client.set_tag(run, WEIGHTS_TAG, weights_sha256)
        client.delete_tag(run, _REPLAYING_TAG)
        self._replayed.add(run)
        return run

    def _remove_unfinished(self, weights_sha256: str) -> None:
        """Delete the runs that a killed process, or one whose disk was full, has begun to replay."""
        if self._connection.shared:  # another clone may be at it
            return
        client, condition = self._connection.client, f"tags.`{_REPLAYING_TAG}` = '{weights_sha256}'"
        for run in client.search_runs([self._connection.experiment], condition):
            if WEIGHTS_TAG not in run.data.tags:
                client.delete_run(run.info.run_id)

    def keep_one(self, run: str, other: str) -> None:
        """Delete `run`, if it was replayed here while somebody else made `other` of the same weights."""
        if run != other and run in self._replayed and self._connection.run_exists(other):
            self._connection.client.delete_run(run)
            self._replayed.remove(run)

    def add_evaluation(self, run: str, md5: str, evaluation: Path, data: DataSource) -> bool:
        """Add metrics, pictures, tables and the data's identity to a run, unless it has this evaluation already."""
        client = self._connection.client
        if client.get_run(run).data.tags.get(EVALUATION_TAG) == md5:
            return False
        metrics = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
        self._log_metrics(run, ((f"test/{key}", value, 0) for key, value in _measured(metrics)))
        for pattern in ("*.png", "*.csv", "metrics.json"):
            for path in sorted(evaluation.glob(pattern)):
                client.log_artifact(run, str(path), "evaluation")
        self._log_data(run, data)
        client.set_tag(run, EVALUATION_TAG, md5)
        return True

    def add_page(self, run: str, page: Path) -> None:
        """Put the page of a model next to its evaluation, in place of an earlier one."""
        self._connection.client.log_artifact(run, str(page), "report")

    def _log_metrics(self, run: str, values: Iterator[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        metrics = [Metric(short_key(name), value, moment, step) for name, value, step in values]
        for start in range(0, len(metrics), 1000):
            self._connection.client.log_batch(run, metrics=metrics[start : start + 1000])

    def _log_data(self, run: str, data: DataSource) -> None:
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        dataset = MetaDataset(
            _dvc_source(data), name=data.name, digest=data.sha256[:12]
        )  # whole in the source; 36 is MLflow's limit
        tags = [InputTag("mlflow.data.context", "evaluation")]
        self._connection.client.log_inputs(run, [DatasetInput(dataset._to_mlflow_entity(), tags)])


def _dvc_source(data: DataSource) -> Any:
    from mlflow.data.dataset_source import DatasetSource

    class DvcSource(DatasetSource):  # type: ignore[misc]
        """A prepared data set, by its folder in the project and its hash."""

        @staticmethod
        def _get_source_type() -> str:
            return "dvc"

        @staticmethod
        def _can_resolve(raw_source: Any) -> bool:
            return False

        @classmethod
        def _resolve(cls, raw_source: Any) -> DvcSource:
            raise NotImplementedError

        def load(self, **kwargs: Any) -> Any:
            raise NotImplementedError("check out the commit in the version's tag git.sha and run `dvc pull`")

        def to_dict(self) -> dict[str, Any]:
            return {"path": data.path, "sha256": data.sha256}

        @classmethod
        def from_dict(cls, source_dict: dict[Any, Any]) -> DvcSource:
            return cls()

    return DvcSource()


def _curves(path: Path) -> Iterator[tuple[str, float, int]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(float(row.pop("epoch")))
            for name, text in row.items():
                if text and math.isfinite(float(text)):
                    yield name, float(text), step


def _measured(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what was measured, of the intervals only that of the headline: metrics.json has them all."""
    headline = metrics["headline"]
    yield from _numbers({headline["name"]: headline["value"]})
    yield from _numbers({f"{headline['name']}_{bound}": headline.get(bound) for bound in ("low", "high")})
    apart = ("headline", headline["name"], "interval", "confidence", "samples")
    yield from _numbers({name: value for name, value in metrics.items() if name not in apart})


def _numbers(values: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the finite numbers of nested mappings under their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)
