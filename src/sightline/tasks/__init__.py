"""What a network is trained for, one file per task; built here by one exhaustive match."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from sightline.config.models import Input
from sightline.config.plugins import implementation
from sightline.config.tasks import (
    Autoencoder,
    Classification,
    Detection,
    InstanceSegmentation,
    Keypoints,
    Localization,
    Multilabel,
    OwnTask,
    Regression,
    SemanticSegmentation,
    SlidingWindow,
    StyleNetwork,
    TextRecognition,
)
from sightline.config.tasks import Task as TaskConfig
from sightline.config.weights import Weights as WeightsConfig
from sightline.config.weights import file_of
from sightline.models.mirror import mirrored_weights

WEIGHTS_FOLDER = Path("data/weights")

if TYPE_CHECKING:
    from sightline.data.store import SplitStore
    from sightline.data.structures import LabelMap
    from sightline.models.classify.hub import Weights
    from sightline.tasks.base import Task


def build(  # noqa: C901, PLR0912 - one case per kind
    task: TaskConfig,
    image: Input,
    labels: LabelMap,
    weights: Weights = "random",
    train: SplitStore | None = None,
    weights_folder: Path = WEIGHTS_FOLDER,
) -> Task:
    """Build a task with its network.

    Args:
        task: the section `task` of a model.
        image: the section `input`.
        labels: the classes.
        weights: where the network's first weights come from.
        train: the training split, from which losses take class counts and the like; not needed for prediction.
        weights_folder: where other files of weights that the task names are looked up.

    Raises:
        UserError: an architecture or weights that do not fit, or samples without what the task learns.
    """
    match task:
        case Classification():
            from sightline.tasks.classification import build_classification

            return build_classification(task, image, labels, weights, train)
        case Keypoints():
            from sightline.tasks.keypoints import build_keypoints

            return build_keypoints(task, image, labels, weights, train)
        case Detection():
            from sightline.tasks.detection import build_detection

            return build_detection(task, image, labels, weights, train)
        case InstanceSegmentation():
            from sightline.tasks.instance_segmentation import build_instance_segmentation

            return build_instance_segmentation(task, image, labels, weights, train)
        case Localization():
            from sightline.tasks.localization import build_localization

            return build_localization(task, image, labels, weights, train)
        case Multilabel():
            from sightline.tasks.multilabel import build_multilabel

            return build_multilabel(task, image, labels, weights, train)
        case Regression():
            from sightline.tasks.regression import build_regression

            return build_regression(task, image, labels, weights, train)
        case SemanticSegmentation():
            from sightline.tasks.semantic_segmentation import build_semantic_segmentation

            return build_semantic_segmentation(task, image, labels, weights, train)
        case Autoencoder():
            from sightline.tasks.autoencoder import build_autoencoder

            return build_autoencoder(task, image, labels, weights, train)
        case SlidingWindow():
            from sightline.tasks.sliding_window import build_sliding_window

            return build_sliding_window(task, image, labels, weights, train)
        case TextRecognition():
            from sightline.tasks.text_recognition import build_text_recognition

            return build_text_recognition(task, image, labels, weights, train)
        case StyleNetwork():
            from sightline.tasks.style_network import build_style_network

            trained = (
                None if train is None else weights_source(task.loss_network_weights, task.loss_network, weights_folder)
            )
            return build_style_network(task, image, labels, weights, trained)
        case OwnTask():
            built: Task = implementation(task.builder)(task, image, labels, weights, train)
            return built
        case _:
            assert_never(task)


def weights_source(weights: WeightsConfig, network: str | None, folder: Path) -> Weights:
    """Return what `weights:` means to a network, named as in `timm:resnet18`: a word, or a file.

    Published weights that only a mirror with an address has are fetched.

    Raises:
        UserError: a mirror that is away, or a file that is not what the mirror says.
    """
    file = file_of(weights, network, folder)
    if file is None and weights == "pretrained":
        file = mirrored_weights(network or "")
    return file or weights  # type: ignore[return-value]
