"""ONNX Runtime against torch on this machine's CPU, model by model: `python -m bench.engines models/NAME ...`.

Both get the same random pixels in turns, so that whatever else the machine does falls on both. Decoding, and what makes
predictions of raw outputs, are not in it: they are the same. Without folders it takes those of the project's `models`
that have an ONNX file, and where there is none, a MobileNetV2 with random weights.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.catalogue import Case
from bench.networks import write_classifier
from bench.pairs import take_turns, timed
from bench.report import Report, parsed, parser
from sightline.evaluation.predictor import load_predictor
from sightline.training.artifact.folder import read_card

PAIRS, BATCHES = 15, (1, 32)


def measure(report: Report, folder: Path) -> None:
    """Compare both engines of one model."""
    onnx, torch = load_predictor(folder, engine="onnx"), load_predictor(folder, engine="torch")
    image = onnx.card.input
    for batch in BATCHES:
        generator = np.random.default_rng(0)
        pixels = generator.integers(0, 256, (batch, image.size, image.size, image.channels), dtype=np.uint8)
        runs = {name: timed(partial(own.outputs, pixels)) for name, own in (("onnx", onnx), ("torch", torch))}
        taken = take_turns(runs, report.options.pairs, warm_up=2)
        words = "one image" if batch == 1 else f"a batch of {batch}"
        report.add(Case(f"{folder.name}, {words}", "torch"), taken["onnx"], taken["torch"])


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, PAIRS)
    own.add_argument("folders", nargs="*", type=Path, help="model directories; default: models/*")
    options = parsed(own, argv)
    report = Report("engines", options)
    given = options.folders or ([] if options.quick else sorted(Path("models").glob("*/model.onnx")))
    folders = [path.parent if path.name == "model.onnx" else path for path in given]
    with tempfile.TemporaryDirectory() as made:
        if not folders:
            architecture, size = ("timm:test_resnet", 32) if options.quick else ("torchvision:mobilenet_v2", 224)
            folders = [write_classifier(Path(made, architecture.partition(":")[2]), architecture, size, 10)]
        for folder in folders:
            if read_card(folder).onnx_sha256:
                measure(report, folder)
            else:
                report.lacks(Case(folder.name, "torch"), "has no model.onnx")
    report.finish()


if __name__ == "__main__":
    main()
