"""Builds extractors: from the section of a features entry, or from the folder that one was written into."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from sightline.config.features import Extractor as ExtractorConfig
from sightline.config.features import (
    Features,
    GaborExtractor,
    HmaxExtractor,
    HogExtractor,
    ModelExtractor,
    NetworkExtractor,
    PixelsExtractor,
    StructureExtractor,
    VisualWordsExtractor,
)
from sightline.config.models import Input
from sightline.config.weights import file_of
from sightline.data.structures import LabelMap
from sightline.models.classify.classifiers import build_classifier, outputs_of
from sightline.models.weights import load_strictly, read_weights
from sightline.tasks import weights_source
from sightline.tasks.base import Task, channel_statistics
from sightline.tasks.classification import Classification
from sightline.training.artifact.folder import read_model
from sightline.training.features import network
from sightline.training.features.base import Extractor
from sightline.training.features.feature_map import FeatureMap
from sightline.training.features.handmade import Gabor, Hog, Pixels
from sightline.training.features.hmax import Hmax
from sightline.training.features.settings import Settings, read_settings
from sightline.training.features.visual_words import VisualWords
from sightline.training.normalisation import with_normalisation

_MODEL_FILES = ("model.json", "weights.safetensors")


class _ModelExtractor(network.NetworkExtractor):
    """Keeps the files of the model that it came from, whatever it was trained for."""

    folder: Path

    def write(self, folder: Path) -> None:
        for name in _MODEL_FILES:
            shutil.copyfile(self.folder / name, folder / name)


def build_features(config: Features, seed: int, weights_folder: Path = Path("data/weights")) -> FeatureMap:
    """Build what a features entry says; visual words and prototypes still have to be learned.

    Args:
        config: the section.
        seed: of random weights, clusters and copies.
        weights_folder: where `weights: FILE` is looked up.

    Raises:
        UserError: weights that do not fit, or layers that are not there.
    """
    own, image = config.extractor, config.input
    outputs = 0
    if isinstance(own, ModelExtractor):
        file = file_of(config.weights, None, weights_folder) if config.weights is not None else None
        assert file is not None  # the section says so
        extractor, image = _of_model(file.parent, own)
    elif isinstance(own, NetworkExtractor):
        assert image is not None
        assert config.weights is not None
        image = with_normalisation(image, config.weights, own.architecture, weights_folder)
        weights = weights_source(config.weights, own.architecture, weights_folder)
        outputs = outputs_of(own.architecture, image.channels, image.size, weights)
        torch.manual_seed(seed)
        built = build_classifier(own.architecture, image.channels, image.size, outputs, weights=weights)
        extractor = _of_network(own, image, built.network)
    else:
        assert image is not None
        extractor = _handmade(own, image)
    return FeatureMap(Settings(own, image, list(config.normalize), config.views, seed, outputs), extractor)


def read_features(folder: Path) -> FeatureMap:
    """Load what `FeatureMap.write` wrote; nothing is unpickled.

    Raises:
        UserError: missing or damaged.
    """
    settings = read_settings(folder)
    own, image = settings.extractor, settings.input
    extractor: Extractor
    if isinstance(own, ModelExtractor):
        extractor, _ = _of_model(folder, own)
    elif isinstance(own, NetworkExtractor):
        built = build_classifier(own.architecture, image.channels, image.size, settings.outputs)
        file = folder / "weights.safetensors"
        load_strictly(built.network, read_weights(file), str(file), own.architecture)
        extractor = _of_network(own, image, built.network)
    else:
        extractor = _handmade(own, image)
        if isinstance(extractor, VisualWords | Hmax):
            extractor.read(folder)
    return FeatureMap(settings, extractor)


def _handmade(own: ExtractorConfig, image: Input) -> Extractor:
    match own:
        case PixelsExtractor():
            return Pixels(image.size, image.channels)
        case GaborExtractor():
            return Gabor(own.wavelengths, own.orientations, own.grid, image.channels if own.statistics else 0)
        case HogExtractor():
            return Hog(image.size, own.cell, own.block, own.bins)
        case VisualWordsExtractor():
            return VisualWords(image.size, own.words, own.sampling, own.step, own.patch, own.weighting, own.descriptors)
        case StructureExtractor():
            from sightline.training.features.structure import Structure  # it computes tables when it is imported

            return Structure(own.zones, own.directions, own.profiles)
        case HmaxExtractor():
            return Hmax(own.sizes, own.orientations, own.pool, own.prototypes, own.patches, own.width)
        case ModelExtractor() | NetworkExtractor():
            raise AssertionError("networks are built from weights")
        case _:
            assert_never(own)


def _of_model(folder: Path, own: ModelExtractor) -> tuple[Extractor, Input]:
    task, card = read_model(folder)
    extractor = _ModelExtractor(task, own.layers, own.pooling, own.pyramid, card.input.extent, card.input.channels)
    extractor.folder = folder
    return extractor, card.input


def _of_network(own: NetworkExtractor, image: Input, built: nn.Module) -> Extractor:
    """Wrap a network as a classifier is, for its way from pixels to input; channels-last if it convolves."""
    nobody = LabelMap((), ())
    task: Task = Classification(built, "", nobody, *channel_statistics(image.channels, image.mean, image.std))
    task.use_layout(any(isinstance(layer, nn.Conv2d) for layer in built.modules()))
    return network.NetworkExtractor(task, own.layers, own.pooling, own.pyramid, image.size, image.channels)
