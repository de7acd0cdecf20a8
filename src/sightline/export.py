"""A task's network as an ONNX graph: uint8 images in, raw outputs by name out; and that graph run by ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import UserError
from sightline.files import new_file
from sightline.structures import UINT8, LabelMap
from sightline.tasks.base import Task

SINGLE = "outputs"  # the name of an output that is a tensor, not tensors by name
INPUT = "images"
LABELS = "sightline.labels"


class _Named(nn.Module):
    """Returns a task's outputs as a tuple, in the order of their names."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.task(images)
        return tuple(outputs.values()) if isinstance(outputs, Mapping) else (outputs,)


def write_onnx(task: Task, size: int, channels: int, path: Path) -> None:
    """Write a task's network, its normalisation included, for N x size x size x channels uint8 with any N.

    The label map goes into the file's metadata.

    Raises:
        UserError: the network cannot be written as a graph.
    """
    import onnx

    if not task.exports:
        raise UserError(f"{task.kind}: {type(task.network).__name__} decides by its content what to compute; no ONNX")
    task = task.eval().float()
    images = torch.zeros(2, size, size, channels, dtype=torch.uint8)
    with torch.no_grad():
        outputs = task(images)
    names = list(outputs) if isinstance(outputs, Mapping) else [SINGLE]
    batch = torch.export.Dim.DYNAMIC
    with new_file(path) as work:
        torch.onnx.export(
            _Named(task).eval(),
            (images,),
            str(work),
            input_names=[INPUT],
            output_names=names,
            dynamic_shapes=({0: batch},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        graph = onnx.load(str(work))
        onnx.helper.set_model_props(graph, {LABELS: json.dumps(task.labels.to_json())})
        onnx.save(graph, str(work))


class OnnxNetwork:
    """An exported network, run on the CPU.

    Args:
        path: the file.
        threads: for each call, which then sleep while they wait, so that the processor can be shared; None: one per
            core, which spin.

    Attributes:
        labels: the label map in the file.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        self.labels = LabelMap.from_json(json.loads(self._session.get_modelmeta().custom_metadata_map[LABELS]))

    def __call__(self, images: UINT8) -> Any:
        """N x S x S x C uint8 -> what the task's `forward` returns."""
        values = [torch.from_numpy(value) for value in self._session.run(self._names, {INPUT: images})]
        return values[0] if self._names == [SINGLE] else dict(zip(self._names, values, strict=True))
