"""Words on pictures do not cover one another."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from sightline.evaluation.report.grid import Cell, draw_grid
from sightline.evaluation.report.labels import place_labels
from sightline.evaluation.report.panels import Mark, Panel

PICTURE = np.full((300, 380, 3), 128, np.uint8)


def square(x: float, y: float, side: float, words: str) -> Mark:
    return Mark([np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])], (240, 165, 0), words, True)


def crowd(count: int) -> list[Mark]:
    generator = np.random.default_rng(count)
    corners = generator.uniform(0, 280, (count, 2))
    return [square(x, y, 60, f"microwave {place}%") for place, (x, y) in enumerate(corners.tolist())]


def covered(figure: Figure) -> list[tuple[str, str]]:
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw(renderer)
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_visible()]
    return [
        (one, other)
        for place, (one, box) in enumerate(boxes)
        for other, its in boxes[place + 1 :]
        if box.padded(-0.5).overlaps(its.padded(-0.5))
    ]


@pytest.mark.parametrize("count", [1, 5, 40])
def test_no_label_covers_another_or_a_caption(count: int) -> None:
    panels = [Panel("truth", PICTURE, crowd(count)), Panel("prediction", PICTURE, crowd(count))]
    told = ", ".join(["3 x refrigerator"] * 9) + " → " + ", ".join(["microwave"] * 12)
    cells = [Cell(panels, told, "F1 0.33 · " + "folder/" * 30 + "image.jpg")] * 3
    figure = draw_grid(cells, "a title " * 30, 2, {f"class {k}": (k, k, k) for k in range(16)})
    figure.draw_without_rendering()
    for axis in figure.axes:
        axis.xaxis.set_visible(False)
        axis.yaxis.set_visible(False)
    assert covered(figure) == []


def test_words_stay_on_the_panel_near_their_object() -> None:
    marks = [square(0, 0, 50, "cat 90%"), square(340, 200, 40, "dog 80%"), square(100, 100, 60, "a")]
    places = place_labels(marks, 110, (300, 380))
    for mark, place in zip(marks, places, strict=True):
        assert place is not None
        wide, high = len(mark.words) * 0.058 * 110, 0.125 * 110
        assert 0 <= place[0] <= 380 - wide
        assert 0 <= place[1] <= 300 - high
        left, top = mark.lines[0].min(0)
        assert abs(place[0] - left) <= wide
        assert abs(place[1] - top) <= high
    assert places[2] == (100, 100 - 0.125 * 110)


def test_words_without_room_are_left_out() -> None:
    same = [square(100, 100, 30, "refrigerator 90%")] * 30
    assert 1 <= sum(place is not None for place in place_labels(same, 110, (300, 380))) <= 8
    assert place_labels([square(0, 0, 5, "a very long name")], 110, (20, 20)) == [None]
    assert place_labels([Mark([], (0, 0, 0), "empty mask", True)], 110, (300, 380)) == [None]


def test_an_empty_page_and_one_cell() -> None:
    assert draw_grid([], "no errors", 8, {}).get_suptitle() == "no errors"
    title = "most confident errors, true → predicted, of 1"
    figure = draw_grid([Cell([Panel("", PICTURE)], "$a$ → $b$")], title, 8, {})
    axis, *unused = figure.axes
    assert axis.get_title(loc="left") == r"\$a\$ → \$b\$"
    assert figure.get_suptitle() == title  # there is room for it in one line
    assert not any(own.axison for own in unused)


def test_rows_are_as_high_as_their_pictures_and_none_is_a_tower() -> None:
    flat, tower = np.zeros((50, 380, 3), np.uint8), np.zeros((380, 10, 3), np.uint8)
    cells = [Cell([Panel("truth", picture)] * 2, "told", "note") for picture in (flat, flat, tower, tower)]
    figure = draw_grid(cells, "title", 2, {})
    figure.draw_without_rendering()
    high, wide = (12.6 / 2 * 1.2 * 2, 12.6)
    assert figure.get_size_inches()[1] < high
    assert figure.get_size_inches()[0] == pytest.approx(wide)
    heights = [axis.get_position().height for axis in figure.axes]
    assert heights[2] > 5 * heights[0]
    assert heights[0] * figure.get_size_inches()[1] == pytest.approx(6.3 * 50 / 380 / 2, rel=0.1)
