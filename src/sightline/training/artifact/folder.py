"""The model directory: `weights.safetensors`, `model.json`, and `model.onnx` where a network has one.

It is written whole or not at all, and read without pickle.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from sightline.config.crop_by import MaybeCropBy
from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.config.tiling import MaybeTiling
from sightline.data.structures import LabelMap
from sightline.models.weights import TASK_BUFFERS
from sightline.system.errors import UserError, first_line
from sightline.system.files import new_folder, read_json, write_json
from sightline.tasks import build
from sightline.tasks.base import Task
from sightline.training.artifact.onnx import OnnxNetwork, write_onnx

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
WITH_CROPS = 2  # the format of a model that sees crops: who does not know of them would show it whole images
ONNX = "model.onnx"
_LATER = (("views", "one"), ("boxes", "upright"))


@dataclass(frozen=True)
class ModelCard:
    """What `model.json` says next to the weights.

    It holds nothing that changes when the same training is repeated: no time, commit, run or test metric.

    Attributes:
        task: the section `task` of the model.
        input: the section `input`.
        labels: the classes.
        precision: in which it was trained.
        channels_last: the layout it was trained in.
        threads: CPU threads it was trained with.
        data_sha256: of the training and validation samples and the label map.
        weights_sha256: of `weights.safetensors`; set by `write_model`.
        onnx_sha256: of `model.onnx`; empty where the network has no such file; set by `write_model`.
        crop_by: the section `crop_by`, None if the model sees whole images.
        detector_sha256: of `model.json` of the detector in the same directory, if there is one.
        tiling: the section `tiling`; None where the network sees whole images, of which `model.json` says nothing.
    """

    task: TaskConfig
    input: Input
    labels: LabelMap
    precision: str
    channels_last: bool
    threads: int
    data_sha256: str
    weights_sha256: str = ""
    onnx_sha256: str = ""
    crop_by: MaybeCropBy = None
    detector_sha256: str = ""
    tiling: MaybeTiling = None

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        rare: dict[str, Any] = {}
        if self.crop_by is not None:
            rare = {"crop_by": self.crop_by.model_dump(), "detector_sha256": self.detector_sha256}
        if self.tiling is not None:
            rare["tiling"] = self.tiling.model_dump()
        return rare | {
            "format_version": FORMAT_VERSION if self.crop_by is None else WITH_CROPS,
            "task": _without_later(self.task.model_dump()),
            "input": self.input.to_json(),
            "labels": self.labels.to_json(),
            "precision": self.precision,
            "channels_last": self.channels_last,
            "threads": self.threads,
            "data_sha256": self.data_sha256,
            "weights_sha256": self.weights_sha256,
            "onnx_sha256": self.onnx_sha256,
        }


def _without_later(task: dict[str, Any]) -> dict[str, Any]:
    """Leave out keys that came after the first models, where they change nothing: files of equal models stay equal."""
    return {name: value for name, value in task.items() if (name, value) not in _LATER}


def write_model(folder: Path, task: Task, card: ModelCard) -> ModelCard:
    """Write a model directory, in place of an earlier one; return the card with the hashes of its files.

    A network that no exporter can write has no `model.onnx`: that is printed, and no reason to lose a training.
    """
    from safetensors.torch import save

    weights = save({key: value.detach().cpu().contiguous() for key, value in _state(task).items()})
    with new_folder(folder) as work:
        onnx_sha256 = ""
        if task.exports:
            try:
                write_onnx(task, card.input.extent, card.input.channels, work / ONNX, card.tiling)
                onnx_sha256 = _sha256(work / ONNX)
            except UserError as error:
                print(error)
        card = replace(card, weights_sha256=hashlib.sha256(weights).hexdigest(), onnx_sha256=onnx_sha256)
        (work / "weights.safetensors").write_bytes(weights)
        write_json(work / "model.json", card.to_json())
    return card


def _state(task: Task) -> dict[str, Tensor]:
    """Return the network's weights under its own names, and other state of the task under `task.`."""
    state = task.network.state_dict()
    settled = {key: value for key, value in task.state_dict().items() if not key.startswith("network.")}
    return state | {TASK_BUFFERS + key: value for key, value in settled.items()}


def read_card(folder: Path) -> ModelCard:
    """Read `model.json`.

    Raises:
        UserError: no model there, damaged, or of another format.
    """
    path = folder / "model.json"
    try:
        values = read_json(path)
        if values["format_version"] not in (FORMAT_VERSION, WITH_CROPS):
            raise UserError(f"{path}: format {values['format_version']}, this version reads {WITH_CROPS}; train again")
        return ModelCard(
            task=TypeAdapter(TaskConfig).validate_python(values["task"]),
            input=Input.model_validate(values["input"]),
            labels=LabelMap.from_json(values["labels"]),
            precision=values["precision"],
            channels_last=values["channels_last"],
            threads=values["threads"],
            data_sha256=values["data_sha256"],
            weights_sha256=values["weights_sha256"],
            onnx_sha256=values.get("onnx_sha256", ""),  # models of the first version have none
            crop_by=TypeAdapter(MaybeCropBy).validate_python(values.get("crop_by")),
            detector_sha256=values.get("detector_sha256", ""),
            tiling=TypeAdapter(MaybeTiling).validate_python(values.get("tiling")),
        )
    except FileNotFoundError:
        raise UserError(f"{folder}: contains no model (model.json is missing); train one with dvc repro") from None
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        first = first_line(error)
        raise UserError(f"{path}: damaged or changed by hand ({first}); restore it with dvc checkout") from None


def read_onnx(folder: Path, card: ModelCard, threads: int | None = None) -> OnnxNetwork | None:
    """Return the exported network of a model directory, checked against its hash; None if it has none.

    Args:
        folder: the model directory.
        card: of the model.
        threads: as in `OnnxNetwork`.

    Raises:
        UserError: missing, or not the card's.
    """
    if not card.onnx_sha256:
        return None
    path = folder / ONNX
    if not path.is_file():
        raise UserError(f"{path}: missing; restore it with dvc checkout")
    if _sha256(path) != card.onnx_sha256:
        raise UserError(f"{path}: does not match model.json (different hash); restore it with dvc checkout")
    return OnnxNetwork(path, threads)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_model(folder: Path) -> tuple[Task, ModelCard]:
    """Load a model directory, checking the weights against their hash; the task is in evaluation mode.

    Raises:
        UserError: no model there, damaged, or weights that are not the card's.
    """
    from safetensors.torch import load

    card = read_card(folder)
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: missing; restore it with dvc checkout")
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != card.weights_sha256:
        raise UserError(f"{path}: does not match model.json (different hash); restore it with dvc checkout")
    task = build(card.task, card.input, card.labels)
    state = load(weights)
    own = {key.removeprefix(TASK_BUFFERS): value for key, value in state.items() if key.startswith(TASK_BUFFERS)}
    network = {f"network.{key}": value for key, value in state.items() if not key.startswith(TASK_BUFFERS)}
    task.load_state_dict(own | network)
    task.use_layout(card.channels_last)
    return task.eval(), card
