"""Versions of the registered models, and their aliases."""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sightline.registry.tracking.connection import Connection
from sightline.registry.tracking.limits import TAG_LENGTH
from sightline.system.disk import DiskError
from sightline.system.errors import first_line
from sightline.training.artifact.int8 import int8_folder

VERSION_TAG = "dvc.md5"
INT8_TAG = "dvc.int8.md5"  # of the folder with its network in integers, of a version that has one
INT8_FILES = "int8"  # that folder's name among a version's artifacts
_MODEL = "model"  # the name of the model directory among a version's artifacts
# What a registered model needs to answer; sightline itself is installed from its own repository.
_REQUIREMENTS = (
    *("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "pillow", "pandas", "pyarrow"),
    *("pydantic", "safetensors", "scikit-learn", "skops", "mlflow"),
)
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
    description: str = ""


class Versions:
    """The registry of the project."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, name: str, model_md5: str) -> Version | None:
        """Return the version with this model directory, unless its files are gone from the artifact store.

        Of several the first, so that all who ask at once take the same one.
        """
        from mlflow.artifacts import list_artifacts

        versions = self._connection.client.search_model_versions(
            f"name = '{name}' and tags.`{VERSION_TAG}` = '{model_md5}'"
        )
        for version in sorted(versions, key=lambda version: int(version.version)):
            place = self._connection.client.get_model_version_download_uri(name, version.version)
            if any(
                Path(file.path).name == "MLmodel" for file in list_artifacts(place, tracking_uri=self._connection.uri)
            ):
                return Version(
                    name, str(version.version), str(version.run_id), dict(version.tags), version.description or ""
                )
        return None

    def numbers(self, name: str) -> dict[str, str]:
        """Return the version number of each model of a name, by the md5 of its directory; of several the first."""
        found = self._connection.client.search_model_versions(f"name = '{name}'")
        newest_first = sorted(found, key=lambda version: -int(version.version))
        return {v.tags[VERSION_TAG]: str(v.version) for v in newest_first if VERSION_TAG in v.tags}

    def create(self, name: str, run: str, model: Path, tags: Mapping[str, str]) -> Version:
        """Register a model directory that `run` made; it can be found by its tags only when it is complete.

        Where somebody else registered the same one meanwhile, the later of the two versions is taken back, and the
        earlier one returned: MLflow has no locks, but it counts versions one after the other.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.exceptions import MlflowException

        from sightline.system.packages.installed import needed
        from sightline.system.packages.sbom import SBOM, sbom_of_model

        client = self._connection.client
        logged = client.create_logged_model(self._connection.experiment, name=name, source_run_id=run)
        try:
            with tempfile.TemporaryDirectory() as folder:
                _save_model(Path(folder) / "model", model, run, logged)
                software = sbom_of_model(name, tags[VERSION_TAG], model, needed("sightline"))
                (Path(folder) / "model" / SBOM).write_text(software, encoding="utf-8")
                client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
        except BaseException:
            self._remove(logged)
            raise
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # MLflow looks `models:/ID` up where its global address points, which is ours only for a server.
        source = f"models:/{logged.model_id}" if self._connection.remote else logged.artifact_location
        made = client.create_model_version(name, source, run_id=run, tags=dict(tags), model_id=logged.model_id)
        first = self.find(name, tags[VERSION_TAG])
        if first is not None and int(first.number) < int(made.version):
            client.delete_model_version(name, str(made.version))
            client.delete_logged_model(logged.model_id)
            return first
        return Version(name, str(made.version), run, dict(tags))

    def add_files(self, version: Version, folder: Path, name: str) -> None:
        """Put a folder among the artifacts of a version, in place of an earlier one of that name."""
        client = self._connection.client
        source = str(client.get_model_version(version.name, version.number).source)  # models:/ID, or a path with the ID
        [model_id] = re.findall(r"(?<![^/:])m-[0-9a-f]{32}(?![^/])", source)
        with tempfile.TemporaryDirectory() as work:
            shutil.copytree(folder, Path(work) / name)
            client.log_model_artifacts(model_id, work)

    def _remove(self, logged: Any) -> None:
        """Remove what was written of a model so far, which also makes room to record that in the database."""
        from mlflow.exceptions import MlflowException

        if logged.artifact_location.startswith("file://"):
            shutil.rmtree(url2pathname(urlsplit(logged.artifact_location).path), ignore_errors=True)
        with suppress(MlflowException, DiskError):
            self._connection.client.delete_logged_model(logged.model_id)

    def get(self, name: str, number: str) -> Version | None:
        """Return a version by its number."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._connection.client.get_model_version(name, number)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return Version(name, str(found.version), str(found.run_id), dict(found.tags), found.description or "")

    def fetch(self, version: Version, folder: Path) -> Path:
        """Fetch a version's files into an empty folder; return the model directory among them.

        Its network in integers, if any, lies beside it as `training.artifact.int8` expects it.

        Raises:
            FileNotFoundError: the artifact store has no such files, or they hold no model directory.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model

        place = self._connection.client.get_model_version_download_uri(version.name, version.number)
        try:
            files = Path(
                download_artifacts(artifact_uri=place, dst_path=str(folder), tracking_uri=self._connection.uri)
            )
            artifacts: dict[str, Any] = Model.load(str(files)).flavors["python_function"]["artifacts"]
            model = files / str(artifacts[_MODEL]["path"])
        except (MlflowException, OSError, KeyError) as error:
            raise FileNotFoundError(f"{place}: {first_line(error)}") from None
        if not model.is_dir():
            raise FileNotFoundError(f"{place}: has no {model.relative_to(files)}")
        if (files / INT8_FILES).is_dir():
            (files / INT8_FILES).rename(int8_folder(model))
        return model

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set the tags that differ."""
        for key, value in tags.items():
            text = value[:TAG_LENGTH]
            if version.tags.get(key) != text:
                self._connection.client.set_model_version_tag(version.name, version.number, key, text)

    def describe(self, version: Version, text: str) -> None:
        """Write the text that MLflow's pages show next to a version."""
        if version.description != text:
            self._connection.client.update_model_version(version.name, version.number, text)

    def aliases(self, name: str) -> dict[str, str]:
        """Return alias -> version number."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._connection.client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {str(alias): str(number) for alias, number in found.items()}

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Point an alias at a version."""
        self._connection.client.set_registered_model_alias(name, alias, number)

    def model_tag(self, name: str, key: str) -> str | None:
        """Return a tag of the registered model itself, None if it or the model is not there."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._connection.client.get_registered_model(name).tags.get(key)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return None if found is None else str(found)

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of the registered model itself."""
        self._connection.client.set_registered_model_tag(name, key, value)

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._connection.client.delete_registered_model_alias(name, alias)


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
        python_model=str(Path(__file__).parent / "mlflow_model.py"),
        artifacts={_MODEL: str(model)},
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
