"""The whole of `params.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, model_validator

from sightline.config.augmentations import Augmentation
from sightline.config.base import Name, Section
from sightline.config.crop_by import find_crop_mistakes
from sightline.config.datasets import Dataset
from sightline.config.errors import ConfigError, mistakes
from sightline.config.evaluation import Evaluation, Gate, find_metric_mistakes
from sightline.config.explanations import Explanation, find_explanation_mistakes
from sightline.config.export import Export, find_engine_mistakes, find_export_mistakes
from sightline.config.features import Features
from sightline.config.heads import AnyHead
from sightline.config.models import Model
from sightline.config.monitor import Monitor, find_monitor_mistakes
from sightline.config.reader import read_mapping
from sightline.config.retrain import Retrain
from sightline.config.styles import Style
from sightline.config.trainer import Trainer
from sightline.config.transfer import find_transfer_mistakes
from sightline.config.variation import find_variation_mistakes
from sightline.config.weights_words import find_weights_mistakes
from sightline.system.errors import nearest


class Params(Section):
    """Every value a user may change."""

    seed: int = Field(0, ge=0, description="seed of weights, order, augmentation and dropout")
    datasets: dict[Name, Dataset] = Field(min_length=1, description="where images come from, by name")
    augmentations: dict[Name, Augmentation] = Field({}, description="augmentation policies, by name")
    trainer: Trainer = Field(Trainer(), description="common settings of training")
    models: dict[Name, Model] = Field({}, description="networks, by name")
    features: dict[Name, Features] = Field({}, description="feature extractors, by name")
    heads: dict[Name, AnyHead] = Field({}, description="classical models over features, by name")
    styles: dict[Name, Style] = Field({}, description="style transfers, by name")
    explanations: dict[Name, Explanation] = Field({}, description="explanations of models, by model")
    export: dict[Name, Export] = Field({}, description="further files for deployment, by model")
    monitor: dict[Name, Monitor] = Field({}, description="data sets that are monitored for drift, by name")
    evaluation: Evaluation = Field(Evaluation(), description="how models are measured")
    gate: Gate = Field(Gate(), description="when a challenger replaces the champion")
    retrain: Retrain = Field(Retrain(), description="what the scheduled flow does")

    @model_validator(mode="before")
    @classmethod
    def _inherit_trainer(cls, values: Any) -> Any:
        return inherit_trainer(values)

    def model(self, name: str) -> Model:
        """Return a model's section.

        Raises:
            ConfigError: there is no such model.
        """
        return _entry(self.models, "models", name)

    def dataset(self, name: str) -> Dataset:
        """Return a data set's section.

        Raises:
            ConfigError: there is no such data set.
        """
        return _entry(self.datasets, "datasets", name)

    def augmentation(self, name: str) -> Augmentation:
        """Return the section of a named policy.

        Raises:
            ConfigError: there is no such policy.
        """
        return _entry(self.augmentations, "augmentations", name)

    def features_of(self, name: str) -> Features:
        """Return the section of a features entry.

        Raises:
            ConfigError: there is no such entry.
        """
        return _entry(self.features, "features", name)

    def head(self, name: str) -> AnyHead:
        """Return a head's section.

        Raises:
            ConfigError: there is no such head.
        """
        return _entry(self.heads, "heads", name)

    def style(self, name: str) -> Style:
        """Return the section of a style.

        Raises:
            ConfigError: there is no such style.
        """
        return _entry(self.styles, "styles", name)

    def explanation(self, name: str) -> Explanation:
        """Return the section of a model's explanations.

        Raises:
            ConfigError: there is no such entry.
        """
        return _entry(self.explanations, "explanations", name)

    def exported(self, name: str) -> Export:
        """Return the section of a model's further files.

        Raises:
            ConfigError: there is no such entry.
        """
        return _entry(self.export, "export", name)

    def quantised(self) -> dict[str, Export]:
        """Return what is also made in 8-bit integers, by its name."""
        return {name: section for name, section in self.export.items() if section.int8}

    def registered(self) -> dict[str, Model | AnyHead]:
        """Return everything that is evaluated, released and registered, by its name."""
        return {**self.models, **self.heads}

    def kinds(self) -> dict[str, str]:
        """Return the kind of task of everything that is registered."""
        heads = {name: head.task for name, head in self.heads.items()}
        return {**{name: model.task.kind for name, model in self.models.items()}, **heads}

    def dataset_of(self, name: str) -> str:
        """Return the data set of a model or head.

        Raises:
            ConfigError: there is neither.
        """
        return _entry(self.registered(), "models", name).dataset

    def seed_of(self, model: str) -> int:
        """Return the seed that trains `model`."""
        own = self.models[model].seed
        return self.seed if own is None else own


def inherit_trainer(values: Any) -> Any:
    """Merge `trainer` of each model into the common one; values that are not mappings are left to the schema."""
    if not isinstance(values, dict) or not isinstance(values.get("models"), dict):
        return values
    common = values.get("trainer", {})
    if not isinstance(common, dict):
        return values
    models = {}
    for name, model in values["models"].items():
        mapping = isinstance(model, dict) and isinstance(model.get("trainer", {}), dict)
        models[name] = {**model, "trainer": {**common, **model.get("trainer", {})}} if mapping else model
    return {**values, "models": models}


T = TypeVar("T")


def _entry(section: dict[str, T], path: str, name: str) -> T:
    if name not in section:
        known = f" (there are {', '.join(section) or 'none'})"
        raise ConfigError([f"{path}.{name}: no such entry{nearest(name, section, known)}"])
    return section[name]


def check_policy(params: Params, name: str, path: Path = Path("params.yaml")) -> None:
    """Check the transforms of one policy, and that the models that name it can use them.

    Args:
        params: loaded without `policies`.
        name: a key of augmentations; a ready-made policy needs no check.
        path: for messages.

    Raises:
        ConfigError: with one line per error.
    """
    if name not in params.augmentations:
        return
    if told := find_variation_mistakes(params.datasets, params.augmentations, params.models, (name,)):
        raise ConfigError([f"{path}: {line}" for line in told])


def load_params(path: Path, policies: bool = True) -> Params:
    """Read and check a params file; the transforms of policies only on demand, as that takes a second or two.

    Raises:
        ConfigError: with one line per error, naming file, path, value and what is allowed.
    """
    values = read_mapping(path)
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise ConfigError(mistakes(error, Params, inherit_trainer(values), values, str(path))) from None
    unknown = [
        f"{path}: datasets.{name}: data/inbox/{name} is used for the rejected files of other data sets; "
        f"choose another name"
        for name in sorted({"quarantine"} & set(params.datasets))
    ]
    if not params.registered():
        unknown.append(
            f"{path}: models: empty, and so is heads: nothing to evaluate and register; add a model or a head"
        )
    unknown += [
        f"{path}: models.{name}.dataset: {model.dataset!r} is not among datasets"
        + nearest(model.dataset, params.datasets, otherwise=f" ({', '.join(params.datasets)})")
        for name, model in params.models.items()
        if model.dataset not in params.datasets
    ]
    checked = tuple(params.augmentations) if policies else ()
    unknown += [
        f"{path}: {line}"
        for line in find_variation_mistakes(params.datasets, params.augmentations, params.models, checked)
    ]
    unknown += [
        f"{path}: {line}"
        for line in find_transfer_mistakes(params.datasets, params.models, params.features, params.heads, params.styles)
    ]
    unknown += [f"{path}: {line}" for line in find_crop_mistakes(params.models, params.features, params.augmentations)]
    unknown += [f"{path}: {line}" for line in find_explanation_mistakes(params.models, params.explanations)]
    unknown += [f"{path}: {line}" for line in find_export_mistakes(params.models, params.heads, params.export)]
    unknown += [f"{path}: {line}" for line in find_engine_mistakes(params.heads, params.export, params.gate.budget)]
    learners = {name: learner.dataset for name, learner in params.registered().items()}
    unknown += [f"{path}: {line}" for line in find_metric_mistakes(params.kinds(), params.evaluation, params.gate)]
    unknown += [
        f"{path}: {line}" for line in find_monitor_mistakes(params.datasets, learners, params.features, params.monitor)
    ]
    unknown += [
        f"{path}: {line}" for line in find_weights_mistakes(path.parent, params.models, params.features, params.styles)
    ]
    if unknown:
        raise ConfigError(unknown)
    return params
