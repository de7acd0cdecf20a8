"""The code that MLflow stores next to a model directory: encoded images in, one row of JSON and plain columns out.

MLflow copies this file into each version and runs it on loading ("models from code": nothing is pickled). It must
therefore stand alone, and needs `sightline` installed where it is loaded.

Input: a data frame with the binary column `image`, or a dict of it; never a path. MLflow holds callers to that by the
signature; the unwrapped model also takes a list of bytes, or the bytes of one image.
Output: one row per image, in order. `prediction` is the JSON text of the whole prediction, for every task. A classifier
adds `label` (its name), `label_id`, `confidence`, and `probabilities` (JSON text: name to probability).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

_PLAIN = ("label", "label_id", "confidence")


class ImageModel(PythonModel):  # type: ignore[misc]
    """Answers with the predictor of the model directory that it was registered with."""

    def load_context(self, context: Any) -> None:
        """Load the model directory; nothing in it is unpickled."""
        import sightline

        self._predictor = sightline.load(Path(context.artifacts["model"]))

    # The plain hint keeps MLflow from deriving a second signature; lists and single images are taken as well.
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return one row per image."""
        predictions = self._predictor.predict(_images(model_input))
        return pd.DataFrame([_row(prediction) for prediction in predictions])


def _images(values: Any) -> Sequence[bytes]:
    if isinstance(values, pd.DataFrame):
        if "image" not in values.columns:
            raise ValueError(f"needs a column image with encoded images, got {', '.join(map(str, values.columns))}")
        values = values["image"].tolist()
    elif isinstance(values, dict):
        values = values["image"]
    elif isinstance(values, bytes | bytearray | memoryview):
        values = [values]
    images = list(values)
    for image in images:
        if not isinstance(image, bytes | bytearray | memoryview):
            raise TypeError(f"needs the bytes of an encoded image, got {type(image).__name__}")
    return [bytes(image) for image in images]


def _row(prediction: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"prediction": json.dumps(prediction, allow_nan=False)}
    row |= {name: prediction[name] for name in _PLAIN if name in prediction}
    if "probabilities" in prediction:
        row["probabilities"] = json.dumps(prediction["probabilities"], allow_nan=False)
    return row


set_model(ImageModel())
