"""The stamps of the stages: a file per stage and name with hashes of the code and the settings that can change it.

`dvc.yaml` names one such file as a dependency of each stage in place of source files, and its first stage, `code`,
writes them all. What is the same is not written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sightline.config import Params, plugins
from sightline.config.metrics import own_metrics
from sightline.config.own import OwnFormat
from sightline.config.plugins import installed
from sightline.config.tasks import OwnTask
from sightline.pipeline.code_reach import Library, reached
from sightline.system.errors import UserError
from sightline.system.files import new_file, read_json

CODE = "code"  # the stage that writes them
STAMPS = Path(".sightline/code")
_ARCHIVE = Path(".sightline/stamps")  # by hash, so that `sightline why` can compare; may be deleted at any time
# Why what a stage imports is not looked into.
HARMLESS = {
    "sightline.config.errors": "words of errors",
    "sightline.config.params": "finds sections; their values are recorded",
    "sightline.config.reader": "reads YAML; the values are recorded",
    "sightline.models.mirror": "fetches files of weights, and knows nothing of what is in them",
    "sightline.pipeline.notes": "how long stages take, changes no output",
    "sightline.pipeline.process": "starts a stage",
    "sightline.pipeline.store": "asks DVC for what was there before",
    "sightline.system.disk": "words of errors",
    "sightline.system.download": "fetches files",
    "sightline.system.errors": "words of errors",
    "sightline.system.processors": "a number of threads; where it decides the last bits, a model's card holds it",
    "sightline.registry.tracking": "reports to MLflow, changes no output",
    "sightline.training.followed": "writes a curve for the search that began a training, changes no output",
    "sightline.training.progress": "says how far a training is, changes no output",
}
_MEASURES = "sightline.tasks.metrics"  # a training takes loss and scores; it measures nothing, unless it has steps
Sections = Callable[[Params, str], Sequence[Any]]


@dataclass(frozen=True)
class Stage:
    """A stage of `dvc.yaml`.

    Attributes:
        names: the section of `params.yaml` that it is repeated for.
        values: what it reads of the settings and no stage before it.
        live: other sections of settings that exist when it runs.
        idle: packages that it imports and does not run.
        measures: whether it runs metrics, so that nothing is idle, and those of other packages count too.
    """

    names: Callable[[Params], Mapping[str, Any]]
    values: Sections
    live: Sections = lambda params, name: ()
    idle: tuple[str, ...] = ()
    measures: Callable[[Params, str], bool] = lambda params, name: False


def _of_model(params: Params, name: str) -> list[Any]:
    """Return a model, and of the detector to whose boxes it crops what predicts."""
    model = params.model(name)
    detector = None if model.crop_by is None else params.models[model.crop_by.model]
    return [model, *([] if detector is None else [detector.task, detector.input])]


def _of_features(params: Params, name: str) -> list[Any]:
    """Return an entry of features, and the model whose layers they are."""
    features = params.features_of(name)
    own = features.model()
    return [features, *([params.models[own]] if own in params.models else [])]


def _of_registered(params: Params, name: str) -> list[Any]:
    """Return a model, or a head and its features."""
    if name in params.models:
        return _of_model(params, name)
    head = params.head(name)
    return [head, *_of_features(params, head.features)]


def _training(params: Params, name: str) -> list[Any]:
    model = params.model(name)
    return [model, params.augmentations.get(model.augment), params.seed_of(name)]


def _registered(params: Params) -> Mapping[str, Any]:
    return params.registered()


def _evaluation(params: Params, name: str) -> list[Any]:
    """Return what concerns one model, so that the headline of another one evaluates nothing again."""
    return [params.evaluation.of(name)]


def _climbs(params: Params, name: str) -> bool:
    """Return whether a training compares its steps on validation."""
    return params.model(name).ladder is not None


def _nothing(params: Params, name: str) -> list[Any]:
    return []


STAGES = {
    "prepare": Stage(lambda params: params.datasets, lambda params, name: [params.dataset(name)]),
    "augment": Stage(
        lambda params: params.augmentations, lambda params, name: [params.augmentation(name), params.seed]
    ),
    "train": Stage(lambda params: params.models, _training, _of_model, (_MEASURES,), measures=_climbs),
    "embed": Stage(
        lambda params: params.features,
        lambda params, name: [params.features_of(name), params.seed],
        _of_features,
        (_MEASURES,),
    ),
    "fit_head": Stage(
        lambda params: params.heads,
        lambda params, name: [params.head(name), params.features_of(params.head(name).features), params.seed],
    ),
    "evaluate": Stage(_registered, _evaluation, _of_registered, measures=lambda params, name: True),
    "stylize": Stage(
        lambda params: params.styles, lambda params, name: [params.style(name), params.seed], idle=(_MEASURES,)
    ),
    "explain": Stage(
        lambda params: params.explanations,
        lambda params, name: [params.explanation(name), params.seed_of(name)],
        _of_model,
        (_MEASURES,),
    ),
    "quantise": Stage(
        lambda params: params.quantised(),
        lambda params, name: [params.exported(name), params.evaluation.of(name)],
        _of_model,
        measures=lambda params, name: True,
    ),
    "release": Stage(_registered, _nothing, _of_registered),
}


def stamps(params: Params, root: Path, package: Path | None = None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each stamp and its path below `STAMPS`.

    Args:
        params: checked.
        root: of the project; its `pipelines` hold the scripts.
        package: the folder `sightline`; the one that runs unless given.
    """
    package = package or Path(__file__).parents[1]
    roots = {"sightline": package, "pipelines": root / "pipelines", **other_packages()}
    library = Library(roots, "sightline.config", root / STAMPS.with_suffix(".json"))
    for name, stage in STAGES.items():
        for key in stage.names(params):
            values = stage.values(params, key)
            sections = [found for part in [*values, *stage.live(params, key)] for found in _sections(part)]
            live = {f"{type(one).__module__}.{type(one).__qualname__}" for one in sections}
            script = f"pipelines.{name}"
            module = library.module(script)
            if module is None:
                raise UserError(f"{root / 'pipelines'}: has no {name}.py, the script of the stage {name}; restore it")
            start = [(script, unit) for unit in module.units]
            start += [piece for one in sections for piece in _implementation(one)]
            measures = stage.measures(params, key)
            if measures:
                start += [_piece(metric.function) for metric in own_metrics(params.kinds()[key]).values()]
            code = reached(library, start, sorted(live), [*HARMLESS, *(() if measures else stage.idle)])
            yield Path(name, f"{key}.json"), {"values": [_plain(value) for value in values], "code": code}
    library.save()


def _sections(value: Any) -> Iterator[BaseModel]:
    """Yield the sections in a value."""
    match value:
        case BaseModel():
            yield value
            for name in type(value).model_fields:
                yield from _sections(getattr(value, name))
        case dict():
            for inner in value.values():
                yield from _sections(inner)
        case list() | tuple():
            for inner in value:
                yield from _sections(inner)


def other_packages() -> dict[str, Path]:
    """Return the packages that provide tasks, formats and metrics, each with its folder or file."""
    brought = [*installed(plugins.TASKS).values(), *installed(plugins.FORMATS).values()]
    paths = [path for one in brought for path in (one.__module__, *one.code())]
    paths += [metric.function for metric in installed(plugins.METRICS).values()]
    found = {}
    for top in {path.partition(":")[0].partition(".")[0] for path in paths}:
        spec = find_spec(top)
        if spec is not None and spec.origin is not None:
            file = Path(spec.origin)
            found[top] = file.parent if file.name == "__init__.py" else file
    return found


def _implementation(section: BaseModel) -> Iterator[tuple[str, str]]:
    """Yield the pieces that do the work of a section of another package, which nothing else names."""
    if isinstance(section, OwnTask | OwnFormat):
        yield from (_piece(path) for path in section.code())


def _piece(path: str) -> tuple[str, str]:
    module, _, name = path.partition(":")
    return module, name


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def write_stamps(root: Path, params: Params) -> list[str]:
    """Write the stamps of a project that changed, delete those of stages that are no more; return what was written.

    Args:
        root: of the project.
        params: of its `params.yaml`, checked.
    """
    folder, written, kept = root / STAMPS, [], set()
    for path, stamp in stamps(params, root):
        text = json.dumps(stamp, indent=1, sort_keys=True) + "\n"
        target = folder / path
        kept.add(target)
        changed = not target.is_file() or target.read_text(encoding="utf-8") != text
        written += [f"{path.parent}@{path.stem}"] * changed
        for copy in (_archived(root, text.encode()), target):
            if not copy.is_file() or (changed and copy == target):
                with new_file(copy) as work:
                    work.write_text(text, encoding="utf-8")
    for old in set(folder.rglob("*.json")) - kept:
        old.unlink()
    if written:
        _forget(root, kept)
    return written


def archived_stamp(root: Path, md5: str) -> dict[str, Any] | None:
    """Return a stamp as it was by the hash that `dvc.lock` has of it, None if it is not kept here."""
    path = root / _ARCHIVE / f"{md5}.json"
    return dict(read_json(path)) if path.is_file() else None


def _archived(root: Path, text: bytes) -> Path:
    return root / _ARCHIVE / f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}.json"


def _forget(root: Path, present: set[Path]) -> None:
    """Delete the old stamps that no stage ran with last."""
    lock = root / "dvc.lock"
    last = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    used = {_archived(root, path.read_bytes()) for path in present}
    for path in set((root / _ARCHIVE).glob("*.json")) - used:
        if path.stem not in last:
            path.unlink()
