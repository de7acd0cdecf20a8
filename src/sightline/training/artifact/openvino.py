"""A model's ONNX graph as files of OpenVINO, which is no dependency: whoever wants them installs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.data.images import Size, sides
from sightline.data.structures import UINT8
from sightline.system.errors import UserError, first_line
from sightline.system.files import work_folder
from sightline.training.artifact.onnx import INPUT, LABELS, TILING, OnnxNetwork

_IMAGES = 4  # random ones, for which both have to give the same
_TOLERANCE = 1e-3  # of raw outputs, absolute and relative: both sum float32 in an order of their own


def write_openvino(onnx: Path, size: Size, channels: int, path: Path) -> Path:
    """Write a graph as `FILE.xml` and its weights, in float32, as `FILE.bin` beside it; return the latter.

    Label map and tiling are in the file's `rt_info`, under the names that they have in the ONNX file.

    Raises:
        UserError: OpenVINO is missing, cannot read the graph, or computes something else.
    """
    if path.suffix != ".xml":
        raise UserError(f"{path}: OpenVINO's files are NAME.xml and NAME.bin; give a name that ends with .xml")
    try:
        import openvino
    except ImportError as error:
        raise UserError(f"openvino is not installed ({error}): pip install openvino") from None
    core = openvino.Core()
    reference = OnnxNetwork(onnx, threads=1)
    try:
        graph = core.read_model(str(onnx))
        graph.set_rt_info(reference.metadata[LABELS], LABELS)
        if TILING in reference.metadata:
            graph.set_rt_info(reference.metadata[TILING], TILING)
        compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:  # of any operator that it lacks
        raise UserError(f"{onnx}: OpenVINO {openvino.__version__} cannot read it: {first_line(error)}") from None
    images = np.random.default_rng(0).integers(0, 256, (_IMAGES, *sides(size), channels), dtype=np.uint8)
    _compare(reference, lambda pixels: compiled({INPUT: pixels}), images, onnx)
    weights = path.with_suffix(".bin")
    with work_folder(path.parent) as folder:
        openvino.save_model(graph, str(folder / path.name), compress_to_fp16=False)
        (folder / weights.name).replace(weights)
        (folder / path.name).replace(path)  # the last, as it is the one that is opened
    return weights


def _compare(ours: OnnxNetwork, theirs: Callable[[UINT8], Any], images: UINT8, path: Path) -> None:
    outputs = ours(images)
    expected = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
    found = list(theirs(images).values())
    for one, other in zip(expected, found, strict=True):
        if not torch.allclose(one, torch.from_numpy(other), rtol=_TOLERANCE, atol=_TOLERANCE):
            worst = float((one - torch.from_numpy(other)).abs().max())
            raise UserError(f"{path}: OpenVINO computes something else, raw outputs differ by up to {worst:.2g}")
