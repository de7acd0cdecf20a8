"""8-bit integers against fp32, both by ONNX Runtime with one thread: `python -m bench.int8`.

Three networks with random weights, calibrated on embedded scenes: what integers cost in time does not depend on what
was learned. Both get the same image in turns, so that whatever else the machine does falls on both; told is the
median of the ratios of neighbouring rounds, with its quartiles, and the size of the files. What they lose is no matter
of this file: that is judged per model (docs/deployment.md). Figures go to bench/results/int8.json.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from sightline.config.datasets import Dataset
from sightline.config.models import Model
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import UINT8
from sightline.evaluation.quantise.integers import Integers
from sightline.pipeline.process import set_up_process
from sightline.system.processors import processor_name
from sightline.tasks import build
from sightline.training.artifact.onnx import OnnxNetwork, write_onnx
from sightline.training.sight import Sight

RESULTS = Path(__file__).parent / "results" / "int8.json"
TARGET_SPEED, TARGET_SIZE = 1.3, 0.3
PAIRS, CALLS, WARM_UP, IMAGES = 15, 10, 5, 32
NETWORKS: dict[str, tuple[dict[str, str], int]] = {
    "classifier": ({"kind": "classification", "architecture": "timm:tf_efficientnet_lite0"}, 224),
    "detector": ({"kind": "detection", "architecture": "fcos", "backbone": "torchvision:resnet18"}, 320),
    "segmenter": ({"kind": "semantic_segmentation", "architecture": "unet"}, 256),
}


def main() -> None:
    set_up_process()
    with tempfile.TemporaryDirectory() as folder:
        scenes = {"format": "scenes", "root": "data/embedded", "count": 60, "size": 224}
        prepare("scenes", TypeAdapter(Dataset).validate_python(scenes), Path(folder, "scenes"), progress=False)
        rows = [_row(name, Path(folder)) for name in NETWORKS]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


def _row(name: str, folder: Path) -> dict[str, Any]:
    (section, size), prepared, work = NETWORKS[name], folder / "scenes", folder / name
    work.mkdir()
    torch.manual_seed(0)
    settings = {"dataset": "scenes", "task": section, "weights": "random", "augment": "none", "input": {"size": size}}
    model, labels = Model.model_validate(settings), load_labels(prepared)
    task = build(model.task, model.input, labels).eval()
    source, target = work / "model.onnx", work / "model.int8.onnx"
    write_onnx(task, size, 3, source)
    store = SplitStore(prepared / "train")
    pixels = np.asarray(Sight(model.input).decoded([store.image(place) for place in range(IMAGES)])[0])
    batches = [pixels[start : start + 8] for start in range(0, IMAGES, 8)]
    Integers(source, hashlib.sha256(source.read_bytes()).hexdigest(), batches, work).write(target, ())
    slow, fast = OnnxNetwork(source, 1), OnnxNetwork(target, 1)
    for network in (slow, fast):
        _seconds(network, pixels[:1], WARM_UP)
    pairs = [(_seconds(slow, pixels[:1], CALLS), _seconds(fast, pixels[:1], CALLS)) for _ in range(PAIRS)]
    ratios = [one / other for one, other in pairs]
    share = target.stat().st_size / source.stat().st_size
    q1, q3 = np.quantile(ratios, [0.25, 0.75]).tolist()
    told = {"median": median(ratios), "q1": q1, "q3": q3}
    print(f"{name:<11} {told['median']:.2f} [{q1:.2f}, {q3:.2f}] times as fast, {share:.3f} of the size", flush=True)
    return {
        "benchmark": f"int8, {name}: {' '.join(section.values())}, {size} px",
        "reference": "model.onnx, ONNX Runtime, 1 thread",
        "target": {"speed": TARGET_SPEED, "size": TARGET_SIZE},
        "ratio": told,
        "size": share,
        "milliseconds": {"fp32": 1e3 * median(p[0] for p in pairs), "int8": 1e3 * median(p[1] for p in pairs)},
        "pairs": PAIRS,
        "machine": processor_name(),
        "versions": {package: version(package) for package in ("onnxruntime", "onnx", "torch")},
    }


def _seconds(network: OnnxNetwork, pixels: UINT8, calls: int) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(calls):
        start = perf_counter()
        network(pixels)
        times.append(perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    main()
