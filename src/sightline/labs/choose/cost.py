"""What a network costs in use: milliseconds for an image, and bytes; by one protocol for all."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.system.errors import UserError

_WARM_UP, _CALLS = 5, 30
_LATENCY = re.compile(r"(?P<value>\d+(\.\d+)?) ?(?P<unit>ms|s)", re.IGNORECASE)
_SIZE = re.compile(r"(?P<value>\d+(\.\d+)?) ?(?P<unit>kb|mb|gb)", re.IGNORECASE)
_UNITS = {"ms": 1.0, "s": 1e3, "kb": 1e3, "mb": 1e6, "gb": 1e9}


@dataclass(frozen=True)
class Cost:
    """Of a network: median milliseconds for one image on one thread of ONNX Runtime, and bytes of its file."""

    latency_ms: float
    size_bytes: int


@dataclass(frozen=True)
class Limits:
    """The largest cost allowed; None: any."""

    latency_ms: float | None = None
    size_bytes: int | None = None

    def broken_by(self, cost: Cost) -> str | None:
        """Return which limit a cost exceeds, in words; None if none."""
        if self.latency_ms is not None and cost.latency_ms > self.latency_ms:
            return f"{cost.latency_ms:.1f} ms an image, more than {self.latency_ms:g}"
        if self.size_bytes is not None and cost.size_bytes > self.size_bytes:
            return f"{cost.size_bytes / 1e6:.1f} MB, more than {self.size_bytes / 1e6:g}"
        return None


def measured_cost(onnx: Path, size: int | tuple[int, int], channels: int) -> Cost:
    """Time an exported network: one image at a time, one thread, the median of thirty calls after five.

    Args:
        onnx: the file.
        size: side of the input, or height and width, pixels.
        channels: of the input.
    """
    from sightline.training.artifact.onnx import OnnxNetwork

    network = OnnxNetwork(onnx, threads=1)
    height, width = (size, size) if isinstance(size, int) else size
    generator = np.random.Generator(np.random.Philox(key=[0, 0]))
    image = generator.integers(0, 256, (1, height, width, channels), dtype=np.uint8)
    took = []
    for number in range(_WARM_UP + _CALLS):
        began = time.perf_counter()
        network(image)
        if number >= _WARM_UP:
            took.append(time.perf_counter() - began)
    return Cost(1000 * statistics.median(took), onnx.stat().st_size)


def parsed_limits(latency: str | None, size: str | None) -> Limits:
    """Return limits as they are typed, such as 20ms and 10MB.

    Raises:
        UserError: not a number with a unit.
    """
    found: dict[str, float | None] = {"latency": None, "size": None}
    for name, text, rule, example in (("latency", latency, _LATENCY, "20ms"), ("size", size, _SIZE, "10MB")):
        if text is None:
            continue
        match = rule.fullmatch(text.strip())
        if match is None or float(match["value"]) <= 0:
            raise UserError(f"--{name} {text}: expected a number and its unit, e.g. {example}")
        found[name] = float(match["value"]) * _UNITS[match["unit"].lower()]
    return Limits(found["latency"], None if found["size"] is None else int(found["size"]))
