"""An adapter to MLflow: runs, files, versions and aliases, no rule of when; the only module that imports it."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

EXPERIMENT = "sightline"
WEIGHTS_TAG = "sightline.weights"  # set last: a run that has it is complete
EVALUATION_TAG = "sightline.evaluation"
VERSION_TAG = "dvc.md5"
# What a registered model needs to answer; sightline itself is installed from its own repository.
_REQUIREMENTS = (
    *("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "pillow", "pandas", "pyarrow"),
    *("pydantic", "safetensors", "scikit-learn", "mlflow"),
)
_PARAM_LENGTH = 250  # Lightning's logger cuts there; MLflow itself at 6000
_KEY_LENGTH = 250
_TAG_LENGTH = 5000
# 8 x 8 grey pixels.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAADklEQVR42mNogAIGyhgAgIQgARDoahcAAAAASUVORK5CYII="
)


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    name: str
    number: str
    run: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class DataSource:
    """The data set that a model was measured on: its name, its folder relative to the project, its hash."""

    name: str
    path: str
    sha256: str


def project_root() -> Path:
    """Return the main repository's root, also inside the temporary copy in which DVC runs an experiment."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the project's own SQLite file by its absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def training_logger(name: str, params: Mapping[str, Any], memory: Path, root: Path | None = None) -> Any | None:
    """Return Lightning's logger for a run called `name`; None where mlflow is not installed.

    The run's id is kept in the folder `memory`, so that a training that is taken up again goes on with its run.
    """
    if find_spec("mlflow") is None:
        return None
    from pytorch_lightning.loggers import MLFlowLogger
    from pytorch_lightning.utilities import rank_zero_only

    tracker = Tracker(root or project_root())
    if is_main := getattr(rank_zero_only, "rank", 0) == 0:  # one process makes experiment and run
        tracker.experiment  # noqa: B018
    remembered = memory / "mlflow-run"
    run = remembered.read_text() if remembered.exists() else None
    logger = MLFlowLogger(EXPERIMENT, run_name=name, run_id=run, tracking_uri=tracker.uri, log_model=False)
    if is_main and run is None:
        logger.log_hyperparams(dict(_short(params)))
        remembered.write_text(str(logger.run_id))
    return logger


def mark_trained(logger: Any, weights_sha256: str) -> None:
    """Tag the logger's run, complete now, with the weights that it made; without a logger there is nothing to do."""
    if logger is None:
        return
    logger.experiment.set_tag(logger.run_id, WEIGHTS_TAG, weights_sha256)


class Tracker:
    """MLflow for the project at `root`."""

    def __init__(self, root: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self.root = root.resolve()
        self.uri = tracking_uri(root)

    @cached_property
    def _client(self) -> Any:
        import mlflow

        for talker in ("mlflow", "alembic"):  # a line per migration, and per example checked
            logging.getLogger(talker).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(self.uri)
        return mlflow.MlflowClient(self.uri)

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment, made at first use."""
        from mlflow.exceptions import MlflowException

        for attempt in range(2):
            found = self._client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                if found.lifecycle_stage == "deleted":
                    self._client.restore_experiment(found.experiment_id)
                return str(found.experiment_id)
            # A server knows itself where its files go; else MLflow would take the present folder of whoever is first.
            remote = self.uri.startswith(("http://", "https://"))
            try:
                location = None if remote else (self.root / "mlartifacts").as_uri()
                return str(self._client.create_experiment(EXPERIMENT, artifact_location=location))
            except MlflowException:
                if attempt:  # not just another process that was faster
                    raise
        raise AssertionError("unreachable")

    # Runs

    def find_run(self, name: str, weights_sha256: str) -> str | None:
        """Return the newest complete run called `name` that made these weights."""
        condition = f"tags.`{WEIGHTS_TAG}` = '{weights_sha256}' and attributes.run_name = '{name}'"
        runs = self._client.search_runs([self.experiment], condition, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def replay_run(self, name: str, weights_sha256: str, training: Path) -> str:
        """Make the run that training would have logged, from the folder that it wrote."""
        from mlflow.entities import Param

        client = self._client
        run = str(client.create_run(self.experiment, run_name=name, tags={"sightline.replayed": "true"}).info.run_id)
        values = _short(json.loads((training / "training.json").read_text(encoding="utf-8")))
        params = [Param(key, value) for key, value in values.items()]
        for start in range(0, len(params), 100):
            client.log_batch(run, params=params[start : start + 100])
        self._log_metrics(run, _curves(training / "curves.csv"))
        client.log_artifacts(run, str(training), "training")
        client.set_terminated(run)
        client.set_tag(run, WEIGHTS_TAG, weights_sha256)
        return run

    def add_evaluation(self, run: str, md5: str, evaluation: Path, data: DataSource) -> bool:
        """Add metrics, pictures, tables and the data's identity to a run, unless it has this evaluation already."""
        client = self._client
        if client.get_run(run).data.tags.get(EVALUATION_TAG) == md5:
            return False
        metrics = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
        self._log_metrics(run, ((f"test/{key}", value, 0) for key, value in _numbers(metrics)))
        for pattern in ("*.png", "*.csv", "metrics.json"):
            for path in sorted(evaluation.glob(pattern)):
                client.log_artifact(run, str(path), "evaluation")
        self._log_data(run, data)
        client.set_tag(run, EVALUATION_TAG, md5)
        return True

    def _log_metrics(self, run: str, values: Iterator[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        metrics = [Metric(_key(name), value, moment, step) for name, value, step in values]
        for start in range(0, len(metrics), 1000):
            self._client.log_batch(run, metrics=metrics[start : start + 1000])

    def _log_data(self, run: str, data: DataSource) -> None:
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        dataset = MetaDataset(_dvc_source(data), name=data.name, digest=data.sha256[:32])  # 36 is MLflow's limit
        tags = [InputTag("mlflow.data.context", "evaluation")]
        self._client.log_inputs(run, [DatasetInput(dataset._to_mlflow_entity(), tags)])

    # Versions

    def find_version(self, name: str, model_md5: str) -> Version | None:
        """Return the version with this model directory, unless its files are gone from the artifact store."""
        from mlflow.artifacts import list_artifacts

        versions = self._client.search_model_versions(f"name = '{name}' and tags.`{VERSION_TAG}` = '{model_md5}'")
        for version in versions:
            place = self._client.get_model_version_download_uri(name, version.version)
            if any(Path(file.path).name == "MLmodel" for file in list_artifacts(place, tracking_uri=self.uri)):
                return Version(name, str(version.version), str(version.run_id), dict(version.tags))
        return None

    def create_version(self, name: str, run: str, model: Path, tags: Mapping[str, str]) -> Version:
        """Register a model directory that `run` made; it can be found by its tags only when it is complete."""
        from mlflow.entities import LoggedModelOutput
        from mlflow.exceptions import MlflowException

        client = self._client
        logged = client.create_logged_model(self.experiment, name=name, source_run_id=run)
        with tempfile.TemporaryDirectory() as folder:
            _save_model(Path(folder) / "model", model, run, logged)
            client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
        try:
            client.get_registered_model(name)
        except MlflowException:
            client.create_registered_model(name)
        source = f"models:/{logged.model_id}"
        made = client.create_model_version(name, source, run_id=run, tags=dict(tags), model_id=logged.model_id)
        return Version(name, str(made.version), run, dict(tags))

    def tag_version(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set the tags that differ."""
        for key, value in tags.items():
            text = value[:_TAG_LENGTH]
            if version.tags.get(key) != text:
                self._client.set_model_version_tag(version.name, version.number, key, text)

    def aliases(self, name: str) -> dict[str, str]:
        """Return alias -> version number."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {str(alias): str(number) for alias, number in found.items()}

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(name, alias, number)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._client.delete_registered_model_alias(name, alias)


def _save_model(folder: Path, model: Path, run: str, logged: Any) -> None:
    """Write an MLflow model around a model directory; `log_model` would also load and run it, which takes seconds."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    task = json.loads((model / "model.json").read_text(encoding="utf-8"))["task"]["kind"]
    columns = [ColSpec("string", "prediction")]
    if task == "classification":
        plain = {"label": "string", "label_id": "long", "confidence": "double", "probabilities": "string"}
        columns += [ColSpec(kind, name) for name, kind in plain.items()]
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(Path(__file__).with_name("mlflow_model.py")),
        artifacts={"model": str(model)},
        signature=ModelSignature(Schema([ColSpec("binary", "image")]), Schema(columns)),
        input_example=pd.DataFrame({"image": [_PNG]}),
        pip_requirements=_requirements(),
        mlflow_model=Model(
            artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
        ),
    )


def _requirements() -> list[str]:
    """Pin what is installed; a local version such as 2.13.0+cpu is on no index."""
    found = []
    for package in _REQUIREMENTS:
        try:
            found.append(f"{package}=={metadata.version(package).split('+')[0]}")
        except metadata.PackageNotFoundError:
            continue
    return found


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


def _short(params: Mapping[str, Any]) -> dict[str, str]:
    """Bring params within MLflow's limits; training.json among the run's files has them whole."""
    texts = {_key(name): str(value) for name, value in params.items()}
    limit = _PARAM_LENGTH
    return {key: text if len(text) <= limit else text[: limit - 6] + " [cut]" for key, text in texts.items()}


def _key(name: str) -> str:
    """Bring a name within MLflow's characters and length; a long one keeps its start and gets its hash."""
    key = re.sub(r"[^\w. :/-]", "_", name, flags=re.ASCII)
    if len(key) <= _KEY_LENGTH:
        return key
    return f"{key[: _KEY_LENGTH - 17]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _curves(path: Path) -> Iterator[tuple[str, float, int]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(float(row.pop("epoch")))
            for name, text in row.items():
                if text and math.isfinite(float(text)):
                    yield name, float(text), step


def _numbers(values: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the finite numbers of nested mappings under their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)
