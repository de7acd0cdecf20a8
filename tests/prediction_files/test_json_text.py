"""JSON of predictions: what Python's own encoder says, and refusals of what JSON cannot say."""

import json
import math

import numpy as np
import pytest

from sightline.data.structures import LabelMap, Prediction
from sightline.system.json_text import json_bytes, json_line

VALUES = [
    {"a": 1, "b": [0.1, float(np.float32(0.1)), 1e-7, 1e22, -0.0], "c": {"d": None, "e": True, "f": "null"}},
    {"é": '東京\u2028\x00"\\', "file": "bad\udcff"},
    {"long": 1 << 70},
    {},
]


@pytest.mark.parametrize("values", VALUES)
def test_it_says_what_pythons_encoder_says(values: dict[str, object]) -> None:
    for text in (json_bytes(values), json_line(values)):
        assert json.loads(text) == values
    assert json_line(values).isascii()
    assert "\n" not in json_line(values)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    for write in (json_bytes, json_line):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write({"a": {"b": [None, number]}})


def test_floats_keep_every_bit() -> None:
    values = np.random.default_rng(0).random(2000, np.float32) ** 9
    assert json.loads(json_bytes({"a": values.tolist()}))["a"] == [float(value) for value in values]


@pytest.mark.parametrize("top", [1, 3, 7, 50])
def test_the_surest_classes_are_those_of_a_stable_sort(top: int) -> None:
    names = tuple(f"class {number}" for number in range(40))
    labels = LabelMap(names, names)
    chances = (np.random.default_rng(1).integers(0, 9, 40) / 9).astype(np.float32)  # many are equal
    prediction = Prediction(label=int(chances.argmax()), probabilities=chances)
    whole = {name: float(chance) for name, chance in zip(names, chances, strict=True)}
    told = prediction.to_json(labels)["probabilities"]
    assert list(told.items()) == list(whole.items())
    expected = sorted(whole.items(), key=lambda pair: -pair[1])[:top]
    assert list(prediction.to_json(labels, top)["probabilities"].items()) == expected
    with pytest.raises(ValueError, match="40 values, but 39 classes"):
        prediction.to_json(LabelMap(names[1:], names[1:]))
