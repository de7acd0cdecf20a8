"""What is drawn beside the truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sightline.data.encoding import encode_png
from sightline.data.store import SplitStore
from sightline.report.samples import MOST_PAIRS, as_sample, draw_worst, is_drawable
from sightline.structures import Prediction

IMAGE = encode_png(np.zeros((20, 30, 3), np.uint8))


def boxes(*scores: float) -> Prediction:
    count = len(scores)
    return Prediction(
        boxes=np.tile(np.array([1, 2, 10, 12], np.float32), (count, 1)),
        box_labels=list(range(count)),
        box_scores=np.array(scores, np.float32),
    )


@pytest.mark.parametrize(
    ("scores", "shown"), [((0.9, 0.5, 0.1), [0, 1]), ((0.2, 0.1), [0]), ((), []), ((0.41, 0.39), [0])]
)
def test_sure_boxes_are_drawn_and_always_the_surest(scores: tuple[float, ...], shown: list[int]) -> None:
    sample = as_sample(IMAGE, boxes(*scores))
    assert sample.box_labels == shown
    assert sample.boxes is not None
    assert len(sample.boxes) == len(shown)


def test_only_geometry_is_drawable() -> None:
    assert is_drawable(boxes(0.5))
    assert not is_drawable(Prediction(label=3, probabilities=np.ones(4, np.float32) / 4))


def test_the_worst_come_first_beside_their_truth(scenes: Path, tmp_path: Path) -> None:
    test = SplitStore(scenes / "test")
    scores = np.linspace(1, 0, len(test))
    rows = pd.DataFrame({"id": test.ids, "score": scores, "told": [f"sample {i}" for i in range(len(test))]})
    asked: list[bytes] = []

    def predict(images: list[bytes]) -> list[Prediction]:
        asked.extend(map(bytes, images))
        return [boxes(0.9) for _ in images]

    draw_worst(rows, scenes, predict, tmp_path / "worst.png")  # type: ignore[arg-type]
    worst = [bytes(test.image(index)) for index in reversed(range(len(test)))]
    assert asked[1:] == worst[: min(MOST_PAIRS, len(test))]
    width, height = Image.open(tmp_path / "worst.png").size
    assert width > height > 200
