"""Exported networks on a page, in fp32 and in 8-bit integers: what was compared in, facts in words out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.operations.pages.words import metric_title


def int8_facts(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return names and values; of a network that was not released, why; nothing where none was asked for."""
    if found is None:
        return []
    if not found["released"]:
        return [("int8 network", f"not released: {found['reason']}")]
    loss, metric = found["loss"], metric_title(found["metric"])
    measured = f"{loss['value']:+.4f} [{loss['low']:+.4f}, {loss['high']:+.4f}], at most {found['max_loss']:g}"
    kept = ", ".join(found["kept_fp32"])
    return [
        ("size", f"{found['bytes'] / 1e6:.2f} MB, {found['size_ratio']:.0%} of model.onnx"),
        ("layers in int8", f"{found['layers_int8']} of {found['layers']} ({found['layers_share']:.0%})"),
        *([("layers in fp32", kept)] if kept else []),
        (f"loss of {metric} on {found['samples']:,} validation images [interval]", measured),
        (f"{metric} on validation, int8 and fp32", f"{found['int8']:.4f} and {found['fp32']:.4f}"),
        ("images for the ranges", f"{found['calibration_images']:,} of the training split"),
        ("graphs that were tried", str(found.get("tried", 1))),
    ]


def onnx_facts(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return by how much model.onnx differs from its network; nothing where there is no such file."""
    if not found:
        return []
    words = {
        "largest_difference": "largest difference between outputs",
        "metric_difference": "difference in the headline metric",
        "same": "predictions that are the same",
        "agrees": "agrees",
    }
    told = []
    for name, value in found.items():
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        text = f"{value:.3g}" if isinstance(value, float) else text
        told.append((words.get(name, name.replace("_", " ")), text))
    return told
