"""`models.*.task:` one schema class per kind of task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Union, get_args

from pydantic import Field

from sightline.config.base import TaskSection
from sightline.config.own import OwnTask
from sightline.config.plugins import TASKS, sections
from sightline.config.tasks.autoencoder import Autoencoder
from sightline.config.tasks.classification import Classification
from sightline.config.tasks.detection import Detection
from sightline.config.tasks.instance_segmentation import InstanceSegmentation
from sightline.config.tasks.keypoints import Keypoints
from sightline.config.tasks.localization import Localization
from sightline.config.tasks.multilabel import Multilabel
from sightline.config.tasks.regression import Regression
from sightline.config.tasks.semantic_segmentation import SemanticSegmentation
from sightline.config.tasks.sliding_window import SlidingWindow
from sightline.config.tasks.style_network import StyleNetwork
from sightline.config.tasks.text_recognition import TextRecognition

if TYPE_CHECKING:

    class _AnyOwnTask(OwnTask):
        """What a type checker sees in place of those that are installed."""

        kind: Literal["own"]

    Task = (
        Autoencoder
        | Classification
        | Detection
        | InstanceSegmentation
        | Keypoints
        | Localization
        | Multilabel
        | Regression
        | SemanticSegmentation
        | SlidingWindow
        | TextRecognition
        | StyleNetwork
        | _AnyOwnTask
    )
else:
    BUILT_IN = (
        Autoencoder,
        Classification,
        Detection,
        InstanceSegmentation,
        Keypoints,
        Localization,
        Multilabel,
        Regression,
        SemanticSegmentation,
        SlidingWindow,
        TextRecognition,
        StyleNetwork,
    )
    Task = Annotated[Union[(*BUILT_IN, *sections(TASKS, OwnTask, "kind").values())], Field(discriminator="kind")]


def kinds() -> dict[str, type[TaskSection]]:
    """Return the schema class of each kind of task."""
    return {get_args(own.model_fields["kind"].annotation)[0]: own for own in get_args(get_args(Task)[0])}


__all__ = [
    "Autoencoder",
    "Classification",
    "Detection",
    "InstanceSegmentation",
    "Keypoints",
    "Localization",
    "Multilabel",
    "OwnTask",
    "Regression",
    "SemanticSegmentation",
    "SlidingWindow",
    "StyleNetwork",
    "Task",
    "TextRecognition",
    "sections",
]
