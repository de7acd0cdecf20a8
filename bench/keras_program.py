"""The lecture's MNIST program in Keras, which `bench.keras_mnist` runs: `python keras_program.py DATA EPOCHS THREADS`.

Two convolutions, Adam, batch 32, the last fifth of the training digits for validation. It imports nothing of this
project, and prints the accuracy on the test digits.
"""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]  # from an environment of its own
import numpy as np
import tensorflow as tf  # type: ignore[import-not-found,import-untyped,unused-ignore]


def read(data: Path, name: str) -> tuple[Any, Any]:
    """Return N x 28 x 28 x 1 float32 in 0..1 and N class ids."""
    images = np.frombuffer(gzip.decompress((data / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((data / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28, 1).astype("float32") / 255, labels.astype("int64")


def main() -> None:
    data, epochs, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*read(data, "train"), batch_size=32, epochs=epochs, validation_split=0.2, verbose=0)
    print(f"accuracy {model.evaluate(*read(data, 't10k'), verbose=0)[1]:.4f}")


if __name__ == "__main__":
    main()
