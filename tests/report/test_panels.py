"""What is drawn of maps, images and key points."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.data.encoding import encode_png
from sightline.data.overlay import class_colour
from sightline.data.structures import LabelMap, Prediction, Sample
from sightline.evaluation.report.panels import SIDE, fitted, image_panels, map_legend, map_panels
from sightline.evaluation.report.poses import pose_legend, pose_panels
from sightline.evaluation.report.readings import reading_panels, right_characters

GREY = encode_png(np.full((20, 40, 3), 100, np.uint8))
SCALE = SIDE / 40


def test_wrong_pixels_are_marked_and_ignored_ones_are_not() -> None:
    labels = LabelMap(("cat",), ("1",), semantic=("background", "cat"))
    semantic = np.zeros((20, 40), np.uint8)
    semantic[:, 10:20], semantic[:, 30:] = 1, 255
    said = np.zeros_like(semantic)
    said[:, 15:] = 1
    panels = map_panels(Sample("x", GREY, semantic=semantic), said, labels)
    assert [panel.name for panel in panels] == ["truth", "prediction", "wrong pixels"]
    columns = (np.array([5, 12, 17, 25, 35]) * SCALE).astype(int)
    painted = [(panel.picture[50, columns] != 100).any(1).tolist() for panel in panels[:2]]
    assert painted == [[False, True, True, False, False], [False, False, True, True, True]]
    red = panels[2].picture[50, columns].astype(int)
    assert (red[:, 0] > red[:, 2] + 100).tolist() == [False, True, False, True, False]
    assert map_legend([semantic, said], labels, 5) == {"cat": class_colour(0)}


def test_a_legend_names_the_classes_with_the_most_pixels() -> None:
    labels = LabelMap(("a", "b", "c"), ("a", "b", "c"))
    maps = [np.array([[0, 1, 1, 2, 2, 2, 255, 255, 255, 255]], np.uint8)]
    assert list(map_legend(maps, labels, 2)) == ["b", "c"]
    assert map_legend([], labels, 2) == {}


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_shown_beside_what_was_made_of_them(channels: int) -> None:
    made = np.full((20, 40, channels), 110, np.uint8)
    panels = image_panels(Sample("x", GREY), made)
    assert [panel.picture.shape for panel in panels] == [(20, 40, 3)] * 3
    assert [int(panel.picture[0, 0, 0]) for panel in panels] == [100, 110, 20]
    assert max(fitted(np.zeros((3000, 1000, channels), np.uint8)).shape) == SIDE


POINTS = LabelMap(
    ("person",), ("1",), keypoints=("nose", "left_hip", "right_shoulder", "right_hip"), mirrored=(0, 3, 2, 1)
)


def person() -> Sample:
    """Return the one meant, a smaller one, a larger one without points, and a crowd."""
    points = np.array(
        [[[1, 1, 2]] * 4, [[10, 5, 2], [5, 15, 1], [15, 5, 2], [0, 0, 0]], [[0] * 3] * 4, [[9, 9, 2]] * 4]
    )
    boxes = np.array([[0, 0, 3, 3], [5, 2, 25, 18], [0, 0, 40, 19], [0, 0, 40, 20]], np.float32)
    crowds = [False, False, False, True]
    return Sample("x", GREY, boxes=boxes, box_labels=[0] * 4, iscrowd=crowds, keypoints=points.astype(np.float32))


def test_key_points_of_the_largest_person_are_joined_with_where_they_should_be() -> None:
    said = Prediction(keypoints=np.array([[[10, 6, 0.9], [9, 15, 0.1], [15, 5, 1], [3, 3, 0.5]]], np.float32))
    true, predicted = pose_panels(person(), said, POINTS)
    assert [dot.full for dot in true.dots] == [True, False, True]  # a hidden one is a ring
    assert [dot.full for dot in predicted.dots] == [True, False, True]  # 4 px are more than 0.2 of the torso
    np.testing.assert_allclose(
        [(dot.x, dot.y) for dot in predicted.dots], np.array([[10, 6], [9, 15], [15, 5]]) * SCALE
    )
    np.testing.assert_allclose([dot.true or () for dot in predicted.dots], [(dot.x, dot.y) for dot in true.dots])
    assert [dot.colour for dot in true.dots] == [dot.colour for dot in predicted.dots]


def test_without_a_labelled_person_only_the_prediction_is_drawn() -> None:
    said = Prediction(keypoints=np.ones((1, 4, 3), np.float32))
    for sample in (
        Sample("x", GREY),
        Sample("x", GREY, boxes=np.zeros((0, 4), np.float32), keypoints=np.zeros((0, 4, 3))),
    ):
        true, predicted = pose_panels(sample, said, POINTS)
        assert (true.name, len(true.dots), len(predicted.dots)) == ("truth: no points", 0, 4)


def test_colours_of_key_points_are_named_by_side() -> None:
    labels = LabelMap(
        ("p",), ("p",), keypoints=("nose", "left_eye", "right_eye", "left_ear", "right_ear"), mirrored=(0, 2, 1, 4, 3)
    )
    assert list(pose_legend(labels)) == ["nose", "left", "right"]
    assert pose_legend(LabelMap(("p",), ("p",), keypoints=("a", "b"))) == {}


def test_a_reading_is_below_its_columns_and_coloured_by_what_is_right() -> None:
    strip = encode_png(np.full((32, 95, 3), 200, np.uint8))
    spans = np.array([[0, 10], [40, 50], [85, 95]], np.float32)
    [panel] = reading_panels(Sample("x", strip, text="abc"), Prediction(text="axc", text_spans=spans))
    height, width = panel.picture.shape[:2]
    assert width == SIDE
    strip_height = round(32 * SIDE / 95)
    assert height > strip_height
    bars = panel.picture[strip_height + 3]
    colours = [tuple(bars[round(middle * SIDE / 95)].tolist()) for middle in (5, 45, 90)]
    assert colours == [(0, 114, 178), (213, 94, 0), (0, 114, 178)]
    assert (bars[round(25 * SIDE / 95)] == 255).all()
    assert right_characters("abc", "xabd") == [False, True, True, False]
