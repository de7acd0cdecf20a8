"""Writes a graph in 8-bit integers by ONNX Runtime's static quantisation, and says which of its layers suffer most.

Activations are unsigned with a zero point, weights signed and symmetric with a scale per output channel (R.
Krishnamoorthi 2018, Quantizing deep convolutional networks for efficient inference, sections 2.1 and 3.1.2). Weights
take 7 of the 8 bits: processors without VNNI add pairs of products in 16 bits, which would saturate, so that the same
file would say something else there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.structures import UINT8
from sightline.evaluation.quantise.layers import BETWEEN, LAYERS, Graph, Layer, name_nodes
from sightline.training.artifact.int8 import MADE_FROM
from sightline.training.artifact.onnx import INPUT

_WORST = 1e3  # dB, of a tensor that is not quantised, or nothing but zeros
_LOOKED_AT = 2  # images whose activations are looked at, each by itself


class Integers:
    """A network's graph, and how to write it in integers.

    Args:
        source: its `model.onnx`.
        sha256: hash of that file.
        calibration: batches of N x S x S x C uint8 images, from which the ranges of activations are measured.
        work: an empty folder, for intermediate files.
    """

    def __init__(self, source: Path, sha256: str, calibration: Sequence[UINT8], work: Path) -> None:
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        self._calibration, self._work, self._sha256 = calibration, work, sha256
        self._prepared = work / "prepared.onnx"
        with _quiet():
            quant_pre_process(source, self._prepared, skip_symbolic_shape=True)  # it gives up on pyramids
        model = onnx.load(str(self._prepared))
        name_nodes(model.graph)
        onnx.save(model, str(self._prepared))
        self._metadata = {entry.key: entry.value for entry in onnx.load(str(source)).metadata_props}
        self.graph = Graph(model.graph)

    @property
    def layers(self) -> list[Layer]:
        """The layers with weights, in their order."""
        return self.graph.layers

    def write(self, path: Path, kept: Sequence[str]) -> None:
        """Write the graph in integers, the same bytes for the same arguments.

        Args:
            path: the file to write.
            kept: names of the layers that stay as they are; not all of them.
        """
        import onnx

        self._quantise(path, kept, {})
        model = onnx.load(str(path))
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, self._metadata | {MADE_FROM: self._sha256})
        path.write_bytes(model.SerializeToString(deterministic=True))

    def _quantise(self, path: Path, kept: Sequence[str], options: dict[str, Any]) -> None:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        with _quiet():
            quantize_static(
                self._prepared,
                path,
                _Reader(self._calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[*LAYERS, *BETWEEN],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=self.graph.quantised_nodes(kept),
                extra_options={"WeightSymmetric": True, "ActivationSymmetric": False, **options},
                calibration_cache_path=self._work / "ranges.json",  # measured once
            )

    def noise(self) -> dict[str, float]:
        """Return the signal-to-quantisation-noise ratio of each layer, dB, when all are in integers.

        That is the least of those of its weights, of what enters it and of what leaves it, as ONNX Runtime's
        `qdq_loss_debug` has them: what the layer itself adds, whatever those before it did.
        """
        from onnxruntime.quantization import qdq_loss_debug as debug

        path, saved = self._work / "noise.onnx", self._work / "saved.onnx"
        self._quantise(path, (), {"QDQKeepRemovableActivations": True})  # else what ReLU cuts off would be noise
        with _quiet():
            weights = debug.compute_weight_error(debug.create_weight_matching(str(self._prepared), str(path)))
            debug.modify_model_output_intermediate_tensors(path, saved)
            seen = [
                debug.create_activation_matching(debug.collect_activations(str(saved), _Reader([image[None]])))
                for image in self._calibration[0][:_LOOKED_AT]
            ]
        ratio = debug.compute_signal_to_quantization_noice_ratio
        tensors = {
            name: min(float(ratio(own[name]["pre_qdq"], own[name]["post_qdq"])) for own in seen) for name in seen[0]
        }
        return {
            layer.name: min(
                weights.get(layer.weight, _WORST),
                tensors.get(layer.source, _WORST),
                tensors.get(layer.result, _WORST),
            )
            for layer in self.layers
        }


class _Reader:
    """Batches of images, as ONNX Runtime asks for them."""

    def __init__(self, batches: Sequence[UINT8]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_next, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what ONNX Runtime's tools log of every tensor that they leave alone."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
