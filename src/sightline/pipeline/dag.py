"""Which stages there are and what each of them needs: `pipelines/dag.yaml`, from which `dvc.yaml` makes its stages.

DVC cannot give a key that `params.yaml` leaves out a default, nor leave out a dependency. So this file says, for every
stage, each path that depends on settings. Where there is nothing to depend on it names the stage's stamp once more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sightline.config import Params
from sightline.config.augmentations import READY_POLICIES
from sightline.config.heads import AnyHead
from sightline.config.tasks import StyleNetwork, Task
from sightline.config.weights import OwnModel, Weights, file_of
from sightline.pipeline.stamps import STAMPS
from sightline.system.files import new_file

DAG = Path("pipelines/dag.yaml")
_HEADER = "# What each stage needs, for dvc.yaml. Generated from params.yaml, also by `sightline check`; do not edit.\n"
_WEIGHTS = Path("data/weights")


def dag(params: Params, root: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Return for each repeated stage of `dvc.yaml`, by name, the paths that its dependencies are made of.

    Args:
        params: checked.
        root: of the project, where files of weights are looked for.
    """

    def begun_with(stage: str, name: str, weights: Weights | None, network: str | None) -> str:
        file = None if weights is None else file_of(weights, network, root / _WEIGHTS)
        inside = isinstance(weights, OwnModel) or (file is not None and (root / _WEIGHTS) in file.parents)
        return file.relative_to(root).as_posix() if file is not None and inside else _stamp(stage, name)

    def copies(name: str, augment: str) -> str:
        return _stamp("train", name) if augment in READY_POLICIES else f"data/augmented/{augment}"

    def validation(name: str, head: AnyHead) -> str:
        return f"data/features/{head.features}/val.arrow" if head.task == "anomaly" else _stamp("fit_head", name)

    def pictures(name: str, task: Task) -> dict[str, str]:
        if not isinstance(task, StyleNetwork):
            return {"paintings": _stamp("train", name), "loss_network": _stamp("train", name)}
        judge = begun_with("train", name, task.loss_network_weights, task.loss_network)
        return {"paintings": task.paintings, "loss_network": judge}

    return {
        "prepare": {name: {"root": one.root} for name, one in params.datasets.items()},
        "augment": {name: {"dataset": one.dataset} for name, one in params.augmentations.items()},
        "train": {
            name: {
                "dataset": one.dataset,
                "augmented": copies(name, one.augment),
                "weights": begun_with("train", name, one.weights, one.trunk()),
                "crop_by": _stamp("train", name) if one.crop_by is None else f"models/{one.crop_by.model}",
                **pictures(name, one.task),
            }
            for name, one in params.models.items()
        },
        "embed": {
            name: {
                "dataset": one.dataset,
                "weights": begun_with("embed", name, one.weights, getattr(one.extractor, "architecture", None)),
            }
            for name, one in params.features.items()
        },
        "fit_head": {
            name: {"dataset": one.dataset, "features": one.features, "validation": validation(name, one)}
            for name, one in params.heads.items()
        },
        "evaluate": {name: {"dataset": one.dataset} for name, one in params.registered().items()},
        "stylize": {
            name: {
                "content": one.content,
                "style": one.style,
                "content_regions": one.regions.content if one.regions else _stamp("stylize", name),
                "style_regions": one.regions.style if one.regions else _stamp("stylize", name),
                "weights": begun_with("stylize", name, one.weights, one.architecture),
            }
            for name, one in params.styles.items()
        },
        "explain": {name: {"dataset": one.dataset} for name, one in params.explanations.items()},
        "quantise": {name: {"dataset": params.dataset_of(name)} for name in params.quantised()},
        "release": {
            name: {
                "dataset": one.dataset,
                "int8": f"models/{name}.int8" if name in params.quantised() else _stamp("release", name),
            }
            for name, one in params.registered().items()
        },
    }


def _stamp(stage: str, name: str) -> str:
    return (STAMPS / stage / f"{name}.json").as_posix()


def write_dag(root: Path, params: Params) -> bool:
    """Bring `pipelines/dag.yaml` up to date; return whether it was behind."""
    path, needs = root / DAG, dag(params, root)
    if path.is_file() and _read(path) == needs:
        return False
    with new_file(path) as work, work.open("w", encoding="utf-8") as file:
        file.write(_HEADER)
        YAML(typ="safe").dump(needs, file)
    return True


def _read(path: Path) -> Any:
    return YAML(typ="safe").load(path)
