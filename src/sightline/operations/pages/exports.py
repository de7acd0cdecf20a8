"""The network in 8-bit integers on a page: what the release says of it in, facts in words out."""

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
