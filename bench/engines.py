"""ONNX Runtime against torch on this machine's CPU, model by model: `python -m bench.engines models/NAME ...`.

Both get the same random pixels in turns, so that whatever else the machine does falls on both; told is the median of
the ratios of neighbouring calls. Decoding, and what makes predictions of raw outputs, are not in it: they are the same.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from sightline.data.structures import UINT8
from sightline.evaluation.predictor import Predictor, load_predictor
from sightline.pipeline.process import set_up_process
from sightline.training.artifact.folder import read_card

ROUNDS, BATCHES = 15, (1, 32)


def main(folders: list[Path]) -> None:
    print(f"{'model':<28} {'batch':>5} {'torch ms':>9} {'onnx ms':>9} {'torch/onnx':>10}")
    for folder in folders:
        if not read_card(folder).onnx_sha256:
            print(f"{folder.name:<28} has no model.onnx")
            continue
        ours, theirs = load_predictor(folder, engine="torch"), load_predictor(folder, engine="onnx")
        image = ours.card.input
        for batch in BATCHES:
            generator = np.random.default_rng(0)
            pixels = generator.integers(0, 256, (batch, image.size, image.size, image.channels), dtype=np.uint8)
            pairs = [(seconds(ours, pixels), seconds(theirs, pixels)) for _ in range(ROUNDS + 2)][2:]
            torch_ms, onnx_ms = (1000 * median(times) for times in zip(*pairs, strict=True))
            ratio = median(slow / fast for slow, fast in pairs)
            print(f"{folder.name:<28} {batch:>5} {torch_ms:>9.2f} {onnx_ms:>9.2f} {ratio:>10.2f}", flush=True)


def seconds(predictor: Predictor, pixels: UINT8) -> float:
    start = perf_counter()
    predictor.outputs(pixels)
    return perf_counter() - start


if __name__ == "__main__":
    set_up_process()
    main([Path(name) for name in sys.argv[1:]])
