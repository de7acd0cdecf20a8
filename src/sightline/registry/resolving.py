"""Finds the model directory that a user names: a folder, a model of the workspace, or a version in the registry."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sightline.pipeline.store import folder_md5
from sightline.registry.registry import own_folder
from sightline.registry.tracking import INT8_TAG, VERSION_TAG, Connection, Version, Versions, tracking_uri
from sightline.system.errors import UserError, nearest
from sightline.system.files import work_folder
from sightline.training.artifact.int8 import INT8_REPORT, int8_folder

FORMS = "a model folder, NAME with models/NAME, NAME@champion, NAME@challenger, NAME/3 or models:/NAME@champion"
_REGISTERED = re.compile(r"(?P<name>[^/@:]+)(?:@(?P<alias>[^/@:]+)|/(?P<number>[0-9]+))")
_SCHEME = "models:/"


@dataclass(frozen=True)
class ResolvedModel:
    """A model directory, ready to be loaded.

    Attributes:
        name: of the model; of the folder where it is not from the registry.
        version: number in the registry; None for a folder.
        alias: by which it was asked for, if any.
        folder: the model directory.
        model_sha256: hash of `model.json`, which holds the hashes of the files next to it: it names the whole model.
    """

    name: str
    version: str | None
    alias: str | None
    folder: Path
    model_sha256: str


def resolve_model(text: str, root: Path) -> ResolvedModel:
    """Return the model directory that `text` names.

    Args:
        text: a model folder, NAME with models/NAME, NAME@ALIAS, NAME/NUMBER, or either with `models:/` before it. A
            folder that exists comes before a version of the registry.
        root: of the project. A version is kept in `.sightline/registry/NAME/NUMBER-HASH/`, and fetched once.

    Raises:
        UserError: there is no such model, version or alias, or its files are gone or damaged.
    """
    root = root.resolve()
    asked = _REGISTERED.fullmatch(text.removeprefix(_SCHEME))
    if not text.startswith(_SCHEME):
        places = (root / text, root / "models" / text)
        folder = next((place for place in places if (place / "model.json").is_file()), None)
        if folder is not None:
            return ResolvedModel(folder.resolve().name, None, None, folder, _model_sha256(folder))
        if asked is None or (root / text).exists():
            raise UserError(f"{text}: {_unknown(text, root)}")
    if asked is None:
        raise UserError(f"{text}: not a version in the registry; write models:/NAME@champion or models:/NAME/3")
    name, alias = asked["name"], asked["alias"]
    versions = _versions(name, root)
    number = asked["number"] or _number(versions.aliases(name), name, alias, text, root)
    version = versions.get(name, number)
    if version is None:
        raise UserError(f"{text}: the registry has no version {number} of {name}; `make ui` shows them")
    folder = _fetched(versions, version, root)
    return ResolvedModel(name, version.number, alias, folder, _model_sha256(folder))


def _unknown(text: str, root: Path) -> str:
    """Say why a text names no model folder, and what it may have been meant to be."""
    known = _released(root)
    if text in known:
        return f"no model there (no model.json); if it is being trained now, use {text}@champion"
    names = [*known, *(path.parent.name for path in (root / "models").glob("*/model.json"))]
    return f"no model there (no model.json){nearest(text, names, f'; give {FORMS}')}"


def _released(root: Path) -> list[str]:
    """Return the names of the models that are released, and so registered."""
    return sorted(path.stem for path in (root / "release").glob("*.json"))


def champion_version(name: str, root: Path) -> str | None:
    """Return the number of the champion's version, None if there is none; one query, for those who poll.

    Raises:
        UserError: there is no registry.
    """
    return _versions(name, root.resolve()).aliases(name).get("champion")


def _versions(name: str, root: Path) -> Versions:
    """Return the project's registry, which is not made where there is none."""
    if find_spec("mlflow") is None:
        raise UserError(f"{name}: versions are in MLflow, which is not installed; `pip install mlflow`")
    uri = tracking_uri(root)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise UserError(f"{name}: no registry yet ({uri}); `dvc repro` trains and registers the models of params.yaml")
    return Versions(Connection(root))


def _number(aliases: dict[str, str], name: str, alias: str, text: str, root: Path) -> str:
    if alias in aliases:
        return aliases[alias]
    if not aliases:
        meant = nearest(name, _released(root))
        raise UserError(f"{text}: no version of {name} is registered{meant}; `sightline models` shows all models")
    known = ", ".join(f"{name}@{other}" for other in sorted(aliases))
    raise UserError(f"{text}: not in the registry, which has {known}; `sightline models` shows all models")


def _fetched(versions: Versions, version: Version, root: Path) -> Path:
    """Return a version's model directory, fetched and checked against its hash if it is not here yet."""
    what, md5 = f"{version.name}/{version.number}", version.tags.get(VERSION_TAG)
    if md5 is None:
        raise UserError(f"{what}: not registered by this project (no tag {VERSION_TAG}); register it with `dvc repro`")
    int8 = version.tags.get(INT8_TAG)
    folder = "-".join([version.number, *(own[:12] for own in (md5, int8) if own)])
    kept = own_folder(root) / "registry" / version.name / folder
    if (kept / "model.json").is_file():
        return kept
    with work_folder(kept.parent) as work:
        try:
            model = versions.fetch(version, work)
        except FileNotFoundError as error:
            raise UserError(f"{what}: its files are gone ({error}); `dvc repro` registers it again") from None
        extra = int8_folder(model)
        if folder_md5(model) != md5 or (int8 and (not extra.is_dir() or folder_md5(extra) != int8)):
            raise UserError(
                f"{what}: its files are not those that were registered (different hash); delete the version in MLflow, "
                "and `dvc repro` registers it again"
            )
        if int8:
            _put(extra, int8_folder(kept), INT8_REPORT)  # first: a model directory that is there is complete
        _put(model, kept, "model.json")
    return kept


def _put(fetched: Path, place: Path, file: str) -> None:
    """Move a folder to its place, unless that is there with a file which every such folder has."""
    try:
        fetched.rename(place)
    except OSError:  # another process was faster, or a half that was left by hand is there
        if (place / file).is_file():
            return
        shutil.rmtree(place, ignore_errors=True)
        fetched.rename(place)


def _model_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
