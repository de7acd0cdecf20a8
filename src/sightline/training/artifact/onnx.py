"""A task's network as an ONNX graph: uint8 images in, raw outputs by name out; and that graph run by ONNX Runtime."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.config.tiling import MaybeTiling
from sightline.data.images import Size, sides
from sightline.data.structures import FLOAT32, UINT8, LabelMap
from sightline.system.disk import disk_error
from sightline.system.errors import UserError, first_line
from sightline.system.files import new_file
from sightline.system.processors import usable_processors
from sightline.tasks.base import Task

SINGLE = "outputs"  # the name of an output that is a tensor, not tensors by name
INPUT = "images"
MIXES = "styles"  # M x K weights of the styles, of a task that has some; it may be left out, for each style alone
LABELS, TILING = "sightline.labels", "sightline.tiling"
_PART = 2**17  # pixels for each thread: of more, what a layer hands to the next leaves the core's cache


class _Named(nn.Module):
    """Returns a task's outputs as a tuple, in the order of their names."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, images: Tensor, *mixes: Tensor) -> tuple[Tensor, ...]:
        outputs = self.task(images, *mixes)
        return tuple(outputs.values()) if isinstance(outputs, Mapping) else (outputs,)


def write_onnx(task: Task, size: Size, channels: int, path: Path, tiling: MaybeTiling = None) -> None:
    """Write a task's network, its normalisation included, for N x height x width x channels uint8 with any N.

    The label map goes into the file's metadata, and how images are cut where the N are tiles. The styles of a task that
    mixes some are a second input, which has a value where it is left out. The file holds no time and no path of this
    machine: the same weights give the same bytes.

    Raises:
        UserError: the network cannot be written as a graph.
    """
    import onnx

    network, images, names = _prepared(task, size, channels)
    with new_file(path) as work:
        try:
            _export(network, (images, *_mixes(task)), names, work)
        except Exception as error:  # each operator that an exporter lacks raises its own type
            told = f"{task.kind}: {type(task.network).__name__}: no ONNX: {first_line(error)}"
            raise disk_error(error, path) or UserError(told) from None
        model = onnx.load(str(work))
        _strip(model.graph)
        for function in model.functions:
            _strip(function)
        for mixes in _mixes(task):
            model.graph.initializer.append(onnx.numpy_helper.from_array(mixes.numpy(), MIXES))
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, _metadata(task, tiling))
        work.write_bytes(model.SerializeToString(deterministic=True))


def _metadata(task: Task, tiling: MaybeTiling) -> dict[str, str]:
    tiled = {} if tiling is None else {TILING: tiling.model_dump_json()}
    return {LABELS: json.dumps(task.labels.to_json()), **tiled}


def write_torch_export(task: Task, size: Size, channels: int, path: Path, tiling: MaybeTiling = None) -> None:
    """Write the same graph as a `.pt2` file of torch.export, with `labels.json` and maybe `tiling.json` in the file.

    Raises:
        UserError: the network cannot be written as a graph.
    """
    network, images, _ = _prepared(task, size, channels)
    try:
        with torch.no_grad():
            program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    except Exception as error:
        raise UserError(
            f"{task.kind}: {type(task.network).__name__}: torch.export fails: {first_line(error)}"
        ) from None
    with new_file(path) as work:
        files = {f"{name.partition('.')[2]}.json": text for name, text in _metadata(task, tiling).items()}
        torch.export.save(program, work, extra_files=files)


def _prepared(task: Task, size: Size, channels: int) -> tuple[nn.Module, Tensor, list[str]]:
    """Return a copy of the network as it is exported, images for it, and the names of its outputs."""
    if not task.exports:
        raise UserError(
            f"{task.kind}: {type(task.network).__name__} depends on its input in what it computes, so it has no graph"
        )
    network = _Named(copy.deepcopy(task).cpu().float()).eval()
    images = torch.zeros(2, *sides(size), channels, dtype=torch.uint8)
    with torch.no_grad():
        outputs = network.task(images)
    return network, images, list(outputs) if isinstance(outputs, Mapping) else [SINGLE]


def _mixes(task: Task) -> list[Tensor]:
    """Return the weights of each style alone, K x K, of a task that has styles."""
    return [torch.eye(len(task.styles))] if task.styles else []


def _export(network: nn.Module, inputs: tuple[Tensor, ...], names: list[str], path: Path) -> None:
    """Trace the network, which takes a tenth of the time; what tracing cannot write, torch's new exporter may."""
    given = [INPUT, MIXES][: len(inputs)]
    common: dict[str, Any] = {"input_names": given, "output_names": names, "external_data": False, "verbose": False}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of a tracer on every shape that it takes for fixed, as sizes are
        try:
            axes = {name: {0: "n"} for name in (INPUT, *names)}
            if len(inputs) > 1:
                axes |= {MIXES: {0: "m"}} | {name: {0: "n", 1: "m"} for name in names}
            torch._C._jit_set_onnx_log_enabled(False)  # else it prints its whole graph when it fails
            torch.onnx.export(network, inputs, str(path), dynamo=False, dynamic_axes=axes, **common)
        except Exception:  # RuntimeError, TypeError, OnnxExporterError, ...
            if len(inputs) > 1:
                raise
            shapes = ({0: torch.export.Dim.DYNAMIC},)
            torch.onnx.export(network, inputs, str(path), dynamo=True, dynamic_shapes=shapes, **common)


def _strip(graph: Any) -> None:
    """Remove what exporters write down of the source: files, lines, and names of modules."""
    graph.doc_string = ""
    parts = [graph.node, graph.value_info]
    parts += [graph.input, graph.output, graph.initializer] if hasattr(graph, "initializer") else []
    for part in (one for some in parts for one in some):
        part.doc_string = ""
        del part.metadata_props[:]
    for attribute in (one for node in graph.node for one in node.attribute):
        for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            _strip(inner)


class OnnxNetwork:
    """An exported network, run on the CPU.

    Args:
        path: the file.
        threads: for each call, which then sleep while they wait, so that the processor can be shared; None: one per
            core, which spin.

    Attributes:
        labels: the label map in the file.
        metadata: all that the file says of itself, by key.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it sends events to its maker otherwise, from 1.29 on
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: it warns of an input that has a value when it is left out
        if threads is not None:
            options.intra_op_num_threads = threads
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        outputs = self._session.get_outputs()
        self._names = [output.name for output in outputs]
        self._splits = all(output.shape and isinstance(output.shape[0], str) for output in outputs)
        self._together = _PART * (threads or usable_processors())
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.labels = LabelMap.from_json(json.loads(self.metadata[LABELS]))

    def __call__(self, images: UINT8, mixes: FLOAT32 | None = None) -> Any:
        """N x S x S x C uint8, and mixes of styles where the task has some -> what its `forward` returns.

        Many images go through the network in parts, a few at a time: what it says of each is the same.
        """
        more = {} if mixes is None else {MIXES: mixes}
        step = self._step(images)
        found: list[NDArray[Any]] = []
        for start in range(0, max(1, len(images)), step):
            part: list[NDArray[Any]] = self._session.run(self._names, {INPUT: images[start : start + step], **more})
            if not start:
                found = part if step >= len(images) else [_room(own, len(images)) for own in part]
            if found is not part:
                for whole, own in zip(found, part, strict=True):
                    whole[start : start + step] = own
        values = [torch.from_numpy(value) for value in found]
        return values[0] if self._names == [SINGLE] else dict(zip(self._names, values, strict=True))

    def _step(self, images: UINT8) -> int:
        """Return how many of N images go through the network together, parts being of nearly the same size."""
        count, height, width = (int(side) for side in images.shape[:3])
        if not self._splits or count * height * width <= self._together:
            return max(1, count)
        parts = -(-count // max(1, self._together // (height * width)))
        return -(-count // parts)


def _room(part: NDArray[Any], count: int) -> NDArray[Any]:
    return np.empty((count, *part.shape[1:]), part.dtype)
