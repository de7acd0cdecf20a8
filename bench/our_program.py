"""The lecture's MNIST program with this package, which `bench.keras_mnist` runs.

The same network, optimizer, batches and division as `keras_program.py`; arguments: the prepared data, epochs, threads.
It also writes the model directory with its ONNX file, which then predicts the test digits.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sightline.pipeline.process import set_up_process


def main() -> None:
    prepared, epochs, threads = sys.argv[1:]
    set_up_process()
    import sightline
    from sightline.data.store import SplitStore

    sightline.train(
        prepared,
        "model",
        {"kind": "classification", "architecture": "mnist_cnn"},
        seed=1,
        weights="random",
        input={"size": 28, "channels": 1},
        augment="none",
        optimizer={"name": "adam", "lr": 0.001},
        trainer={
            "max_epochs": int(epochs),
            "batch_size": 32,
            "keep": "last",
            "threads": int(threads),
        },
    )
    store, model = SplitStore(Path(prepared) / "test"), sightline.load("model")
    images = [store.image(index) for index in range(len(store))]
    said = [one.label for start in range(0, len(images), 500) for one in model.predictions(images[start : start + 500])]
    print(f"accuracy {sum(a == b for a, b in zip(said, store.labels.tolist(), strict=True)) / len(said):.4f}")


if __name__ == "__main__":
    main()
