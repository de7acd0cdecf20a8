"""A loaded model with its name and version; encoded images in, answers as plain values out."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.encoding import encode_png
from sightline.data.images import Placement, sides
from sightline.data.overlay import class_colour, grey_heat, keypoint_colour
from sightline.data.structures import FLOAT32, UINT8, LabelMap, Prediction
from sightline.evaluation.predictor import Engine, Predictor, load_predictor
from sightline.models.style.mixes import mix_of
from sightline.operations.serve.limits import Refusal, Upload, check_whole, unreadable
from sightline.system.errors import UserError
from sightline.system.processors import usable_processors
from sightline.tasks.base import Task
from sightline.training.artifact.folder import read_model
from sightline.training.heads.artifact import holds_head

Input = tuple[UINT8, Placement]


@dataclass(frozen=True)
class Options:
    """What an answer shall hold.

    Attributes:
        top: the number of classes whose probability is returned, most confident first; None for all, in their order.
        pictures: whether maps of classes, heat maps, and images that the model made are added, as PNG in base64.
        styles: weights of the styles to draw in, by name; None for each style alone.
    """

    top: int | None = None
    pictures: bool = False
    styles: tuple[tuple[str, float], ...] | None = None


@dataclass(eq=False)
class ServedModel:
    """A model that answers; several threads may use it at once.

    Attributes:
        name, version: of the registry, or the folder's name and "".
        folder: the model directory.
        predictor: the loaded model.
    """

    name: str
    version: str
    folder: Path
    predictor: Predictor
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _network: Task | None = field(default=None, repr=False)

    @property
    def labels(self) -> LabelMap:
        """The label map of the model."""
        return self.predictor.card.labels

    def decode(self, upload: Upload) -> Input:
        """Return an image as the model sees it, and the position of the original in that.

        Raises:
            Refusal: the image is not whole.
        """
        check_whole(upload)
        try:
            return self.predictor.seen_alone(upload.encoded)
        except ValueError as error:
            raise unreadable(upload.name, str(error)) from None

    def mixes(self, options: Options) -> FLOAT32 | None:
        """Return the mix of styles that was asked for, 1 x K; None for each style alone.

        Raises:
            Refusal: the model has no such style.
        """
        if options.styles is None:
            return None
        try:
            return mix_of(self.predictor.task.styles, dict(options.styles))
        except UserError as error:
            raise Refusal(422, f"{error}") from None

    def predict(self, inputs: list[Input], options: Options | None = None) -> list[Prediction]:
        """Return a prediction for each decoded image, in the styles of the options."""
        pixels, placements = [pixels for pixels, _ in inputs], [placed for _, placed in inputs]
        said = self.predictor.predict_pixels(pixels, placements, self.mixes(options or Options()))
        return [prediction.as_answer() for prediction in said]

    def answer(self, prediction: Prediction, placed: Placement, options: Options) -> dict[str, Any]:
        """Return a prediction as plain values, with the upright original's size in pixels."""
        told = prediction.to_json(self.labels, options.top) | {"height": placed.height, "width": placed.width}
        if options.pictures:
            heat = None if prediction.heat is None else grey_heat(prediction.heat)
            pictures = {"semantic_png": prediction.semantic, "image_png": prediction.image, "heat_png": heat}
            told |= {name: base64_png(picture) for name, picture in pictures.items() if picture is not None}
            if prediction.pictures is not None:
                told["pictures_png"] = {name: base64_png(own) for name, own in prediction.pictures.items()}
        return told

    @property
    def explains(self) -> bool:
        """Whether it has scores of classes with gradients of the image, not those of heads over features or tiles."""
        return self.predictor.task.explains and self.predictor.sight.tiling is None

    def network(self) -> Task:
        """Return the network with its gradients, loaded when first asked for: batches do not wait for it.

        Raises:
            UserError: it has none.
        """
        if holds_head(self.folder):
            raise UserError("a head over features has no gradients; networks have")
        if self.predictor.sight.tiling is not None:
            raise UserError("it sees tiles, and heat maps are of whole images")
        with self._lock:
            if self._network is None:
                self._network = read_model(self.folder)[0]
            return self._network

    def describe(self) -> dict[str, Any]:
        """Return what a page needs to draw answers: the task, the names, and a colour for each, RGB in 0..255."""
        labels = self.labels
        return {
            "model": self.name,
            "version": self.version,
            "task": self.predictor.task.kind,
            "explains": self.explains,
            "styles": list(self.predictor.task.styles),
            "input": self.predictor.card.input.to_json(),
            "classes": _coloured(labels.classes),
            "semantic": _map_classes(labels),
            "keypoints": [
                {"name": name, "colour": keypoint_colour(number, labels.mirrored)}
                for number, name in enumerate(labels.keypoints)
            ],
        }


def load_served(
    folder: Path, name: str, version: str, threads: int | None = None, engine: Engine = "auto"
) -> ServedModel:
    """Load a model directory and let it predict once, so that the first request finds it warm.

    Args:
        folder: the model directory; where it has `model.onnx`, ONNX Runtime predicts.
        name: shown in answers.
        version: the same.
        threads: of ONNX Runtime in each batch; None for one per core.
        engine: as for `load_predictor`.

    Raises:
        UserError: no model there, or damaged.
    """
    predictor = load_predictor(folder, engine=engine, threads=threads or usable_processors())
    model = ServedModel(name, version, folder, predictor)
    image = model.predictor.card.input
    height, width = sides(image.extent)
    blank = np.zeros((height, width, image.channels), np.uint8)
    model.predictor.predict([encode_png(blank[..., 0] if image.channels == 1 else blank)])
    return model


def base64_png(picture: UINT8) -> str:
    """Return H x W (x 1 or 3) uint8 as PNG in base64."""
    grey = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    return base64.b64encode(encode_png(np.ascontiguousarray(grey))).decode()


def _map_classes(labels: LabelMap) -> list[dict[str, Any]]:
    """Return the classes of maps; those made of objects begin with background, which stays clear."""
    if not labels.semantic:
        return _coloured(labels.classes)
    background, *classes = labels.semantic
    return [{"name": background, "colour": None}, *_coloured(tuple(classes))]


def _coloured(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"name": name, "colour": class_colour(number)} for number, name in enumerate(names)]
