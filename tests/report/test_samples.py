"""What is drawn of single samples: the truth beside what the model said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sightline.data.images import decode
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import Prediction
from sightline.evaluation.report.figures import save_figure
from sightline.evaluation.report.samples import MOST_PAIRS, MOST_SINGLE, is_drawable, samples_page


def objects(*given: tuple[list[float], int, float]) -> Prediction:
    return Prediction(
        boxes=np.array([box for box, _, _ in given], np.float32).reshape(-1, 4),
        box_labels=[label for _, label, _ in given],
        box_scores=np.array([score for _, _, score in given], np.float32),
    )


def test_only_geometry_is_drawable() -> None:
    assert is_drawable(objects(([1, 2, 11, 12], 0, 0.5)))
    assert not is_drawable(Prediction(label=3, probabilities=np.ones(4, np.float32) / 4))


def page(scenes: Path, predict: Any) -> Any:
    test = SplitStore(scenes / "test")
    ids = list(reversed(test.ids))
    rows = pd.DataFrame({"id": ids, "told": [f"t{own}" for own in ids], "note": "F1 0.10", "source": "s"})
    return samples_page(rows, "title", scenes, predict, np.full(len(load_labels(scenes)), 0.5)), test


def test_samples_come_in_their_order_beside_their_truth(scenes: Path, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def predict(images: list[bytes]) -> list[Prediction]:
        asked.extend(map(bytes, images))
        return [objects(([1, 2, 40, 42], 0, 0.9)) for _ in images]

    figure, test = page(scenes, predict)
    count = min(MOST_PAIRS, len(test))
    assert asked == [bytes(test.image(index)) for index in reversed(range(len(test)))][:count]
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[:count] == [f"t{own}" for own in list(reversed(test.ids))[:count]]
    first = figure.axes[0]
    assert len(first.images) == 2
    objects_there = len(test.sample(len(test) - 1).box_labels)
    styles = [patch.get_linestyle() for patch in first.patches]
    assert len(styles) == objects_there + 1
    for name in ("one", "other"):
        save_figure(page(scenes, predict)[0], tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_missed_and_false_objects_are_dashed(scenes: Path) -> None:
    test = SplitStore(scenes / "test")
    sample = test.sample(len(test) - 1)
    assert sample.boxes is not None

    def predict(images: list[bytes]) -> list[Prediction]:
        found = [(sample.boxes[0].tolist(), sample.box_labels[0], 0.9), ([0, 0, 5, 5], 0, 0.8)]  # type: ignore[index]
        return [objects(*found) for _ in images]

    figure, _ = page(scenes, predict)
    lines = [patch.get_linestyle() for patch in figure.axes[0].patches]
    count = len(sample.box_labels)
    solid = [line in ("-", "solid") for line in lines]
    assert solid == [True] + [False] * (count - 1) + [True, False]


def test_images_of_models_without_geometry_are_drawn_alone(digits: Path) -> None:
    figure, test = page(digits, lambda images: [Prediction(label=1) for _ in images])
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == min(MOST_SINGLE, len(test))
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), decode(test.image(len(test) - 1), 3))


def test_nothing_to_show_is_a_page_with_a_title(digits: Path) -> None:
    rows = pd.DataFrame({"id": [], "told": [], "note": [], "source": []})
    figure = samples_page(rows, "no errors", digits, lambda _: [], None)
    assert figure.get_suptitle() == "no errors"
