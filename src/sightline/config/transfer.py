"""How data sets, models, features and heads fit together: what `load_params` checks across their sections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sightline.config.features import Features
from sightline.config.heads import AnyHead
from sightline.config.models import Model
from sightline.config.styles import Style
from sightline.config.weights import OwnModel, Weights
from sightline.system.errors import nearest


def find_transfer_mistakes(
    datasets: Iterable[str],
    models: Mapping[str, Model],
    features: Mapping[str, Features],
    heads: Mapping[str, AnyHead],
    styles: Mapping[str, Style],
) -> list[str]:
    """Return one line per error, without the file's name."""
    own, networks = list(datasets), list(models)
    told = [line for name, section in features.items() for line in _of_features(name, section, own, networks)]
    begun = {**{f"models.{name}": one.weights for name, one in models.items()}}
    begun |= {f"styles.{name}": one.weights for name, one in styles.items()}
    told += [line for path, weights in begun.items() for line in _of_weights(path, weights, networks)]
    told += list(_in_circles(models))
    told += [
        f"features.{name}.weights.model: {model!r} sees tiles, and features are of whole images; use another model"
        for name, section in features.items()
        if (model := section.model() or "") in models and models[model].tiling is not None
    ]
    if told:
        return told
    return [line for name, section in heads.items() for line in _of_head(name, section, networks, features)]


def _of_weights(path: str, weights: Weights, models: list[str]) -> Iterator[str]:
    if isinstance(weights, OwnModel) and weights.model not in models:
        yield f"{path}.weights.model: {weights.model!r} is not among models{_near(weights.model, models)}"


def _in_circles(models: Mapping[str, Model]) -> Iterator[str]:
    """Yield a line for each model that would have to be trained before itself."""
    before = {name: one.weights.model for name, one in models.items() if isinstance(one.weights, OwnModel)}
    for name in before:
        chain = [name]
        while (following := before.get(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if following == name:
            cycle = " <- ".join([*chain, name])
            yield f"models.{name}.weights.model: {cycle}: a cycle; start one of them from other weights"


def _of_features(name: str, section: Features, datasets: list[str], models: list[str]) -> Iterator[str]:
    if section.dataset not in datasets:
        yield f"features.{name}.dataset: {section.dataset!r} is not among datasets{_near(section.dataset, datasets)}"
    model = section.model()
    if model is not None and model not in models:
        yield f"features.{name}.weights.model: {model!r} is not among models{_near(model, models)}"


def _of_head(name: str, section: AnyHead, models: list[str], features: Mapping[str, Features]) -> Iterator[str]:
    if name in models:
        yield f"heads.{name}: there is a model of the same name; choose another name"
    if section.features not in features:
        yield f"heads.{name}.features: {section.features!r} is not among features{_near(section.features, features)}"
        return
    source = features[section.features]
    if section.dataset != source.dataset:
        yield f"heads.{name}.dataset: {section.dataset!r}, but features.{section.features} are of {source.dataset!r}"
    known = source.layers()
    for layer in section.layers or ():
        if layer not in known:
            told = _near(layer, known)
            yield f"heads.{name}.layers: {layer!r} is not among the layers of features.{section.features}{told}"
    if section.task == "anomaly" and (problem := source.without_places()):
        yield f"heads.{name}.features: needs features of single places: features.{section.features}.{problem}"


def _near(word: str, known: Iterable[str]) -> str:
    there = list(known)
    return nearest(word, there, otherwise=f" ({', '.join(there) or 'there are none'})")
