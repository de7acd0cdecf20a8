"""The page of photographs in every style and in mixes."""

from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.images import decode
from sightline.data.structures import Prediction
from sightline.evaluation.report.styles import shown_mixes, styles_page
from sightline.models.style.mixes import mix_name


def test_each_style_alone_and_mixes_of_neighbours() -> None:
    assert shown_mixes(1).tolist() == [[1.0]]
    assert shown_mixes(3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5]]
    assert len(shown_mixes(16)) == 19


def test_the_page_shows_photographs_with_their_pictures(scenes: Path) -> None:
    styles, asked = ("sea", "night"), []

    def predict(images: Any, mixes: Any) -> list[Prediction]:
        asked.append((len(images), mixes))
        names = [mix_name(styles, mix) for mix in mixes.tolist()]
        return [Prediction(pictures={name: 255 - decode(image, 3) for name in names}) for image in images]

    figure = styles_page(scenes, styles, predict)
    [(count, mixes)] = asked
    assert count == 5
    np.testing.assert_array_equal(mixes, shown_mixes(2))
    words = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert words.count("photograph") == words.count("sea") == 5, words
