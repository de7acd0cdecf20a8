"""Structure of characters: skeletons, ends, crossings and holes against slow ways to find them."""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.data.structures import UINT8
from sightline.training.features.skeletons import branches_of, ends_of, euler_numbers, pruned, thin
from sightline.training.features.structure import Structure, ink_of

RING = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]


def blots(count: int, size: int = 24) -> NDArray[np.bool_]:
    """Smooth random pictures with pieces, holes and thin places."""
    noise = np.random.default_rng(3).normal(size=(count, size, size))
    return np.stack([cv2.GaussianBlur(one, (0, 0), 1.0 + 0.1 * (place % 9)) for place, one in enumerate(noise)]) > 0


def at(picture: NDArray[np.bool_], row: int, column: int) -> bool:
    inside = 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]
    return bool(inside and picture[row, column])


def pieces(picture: NDArray[np.bool_], steps: Iterable[tuple[int, int]]) -> int:
    """Flood fills, one by one."""
    left = {(int(row), int(column)) for row, column in np.argwhere(picture)}
    found, steps = 0, list(steps)
    while left:
        found += 1
        open_ones = [left.pop()]
        while open_ones:
            row, column = open_ones.pop()
            for down, right in steps:
                if (place := (row + down, column + right)) in left:
                    left.remove(place)
                    open_ones.append(place)
    return found


def holes(picture: NDArray[np.bool_]) -> int:
    """Pieces of paper, joined by sides alone, without the one around everything."""
    return pieces(~np.pad(picture, 1), RING[::2]) - 1


def slowly_thinned(picture: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Guo and Hall 1989 as it is printed, pixel by pixel."""
    picture = picture.copy()
    while True:
        changed = False
        for turn in (1, 2):
            gone = []
            for row, column in np.argwhere(picture):
                p2, p3, p4, p5, p6, p7, p8, p9 = (at(picture, row + down, column + right) for down, right in RING)
                c = (
                    (not p2 and (p3 or p4))
                    + (not p4 and (p5 or p6))
                    + (not p6 and (p7 or p8))
                    + (not p8 and (p9 or p2))
                )
                n1 = (p9 or p2) + (p3 or p4) + (p5 or p6) + (p7 or p8)
                n2 = (p2 or p3) + (p4 or p5) + (p6 or p7) + (p8 or p9)
                stays = ((p2 or p3 or not p5) and p4) if turn == 1 else ((p6 or p7 or not p9) and p8)
                if c == 1 and 2 <= min(n1, n2) <= 3 and not stays:
                    gone.append((row, column))
            for place in gone:
                picture[place] = False
                changed = True
        if not changed:
            return picture


def test_thinning_is_that_of_the_paper() -> None:
    pictures = np.concatenate([blots(6, 17), np.zeros((1, 17, 17), bool), np.ones((1, 17, 17), bool)])
    for picture, thinned in zip(pictures, thin(pictures), strict=True):
        np.testing.assert_array_equal(thinned, slowly_thinned(picture))


def test_thinning_keeps_pieces_and_holes() -> None:
    pictures = blots(30)
    for picture, thinned in zip(pictures, thin(pictures), strict=True):
        assert not (thinned & ~picture).any()
        assert thinned.sum() < 0.6 * picture.sum()
        assert pieces(thinned, RING) == pieces(picture, RING)
        assert holes(thinned) == holes(picture)


def test_euler_number_is_pieces_less_holes() -> None:
    noise = np.random.default_rng(1).random((20, 13, 13)) < 0.45
    for pictures in (blots(20), noise):
        expected = [pieces(one, RING) - holes(one) for one in pictures]
        assert euler_numbers(pictures).tolist() == expected
        assert len(set(expected)) > 3


def test_ends_and_branches_by_walking_round_each_pixel() -> None:
    pictures = thin(blots(25))
    found_ends, found_branches = ends_of(pictures), branches_of(pictures)
    for picture, ends, branches in zip(pictures, found_ends, found_branches, strict=True):
        for row in range(len(picture)):
            for column in range(len(picture)):
                own = [at(picture, row + down, column + right) for down, right in RING]
                start = own.index(False) if not all(own) else 0
                turned = own[start:] + own[:start]  # begins with paper, so no run is cut in two
                runs = len("".join(" #"[one] for one in turned).split())
                assert ends[row, column] == (picture[row, column] and runs == 1 and sum(own) <= 2)
                assert branches[row, column] == (picture[row, column] and runs >= 3)
    assert found_ends.sum() > 20
    assert found_branches.sum() > 20


def test_short_branches_go_and_nothing_else_does() -> None:
    picture = np.zeros((3, 20, 20), bool)
    picture[:, 10, 2:18] = True
    picture[1:, 8:10, 9] = True  # a bump of two pixels
    picture[2, 3, 3:6] = True  # a short line of its own
    picture[2, 15, 10] = True  # a dot
    wanted = picture.copy()
    wanted[1:, 8:10, 9] = False
    found = pruned(picture, np.array([3, 2, 3]))
    np.testing.assert_array_equal(found, wanted)
    longer = pruned(picture, np.array([1, 1, 1]))
    np.testing.assert_array_equal(longer, picture)  # the bump is longer than that
    skeletons = thin(blots(20))
    lengths = np.arange(20) % 4
    for place, (skeleton, one) in enumerate(zip(skeletons, pruned(skeletons, lengths), strict=True)):
        assert not (one & ~skeleton).any()
        assert pieces(one, RING) == pieces(skeleton, RING)
        assert holes(one) == holes(skeleton)
        np.testing.assert_array_equal(pruned(skeleton[None], lengths[place : place + 1])[0], one)  # alone, the same


def drawn(name: str, stroke: int, size: int = 48) -> UINT8:
    """Letters of straight and round strokes, white on black."""
    image = np.zeros((size, size), np.uint8)
    lines = {
        "I": [(24, 8, 24, 40)],
        "L": [(12, 8, 12, 40), (12, 40, 36, 40)],
        "T": [(8, 10, 40, 10), (24, 10, 24, 40)],
        "X": [(8, 8, 40, 40), (40, 8, 8, 40)],
        "H": [(10, 8, 10, 40), (38, 8, 38, 40), (10, 24, 38, 24)],
        "A": [(24, 6, 8, 42), (24, 6, 40, 42), (15, 28, 33, 28)],
        "E": [(10, 8, 10, 40), (10, 8, 38, 8), (10, 24, 38, 24), (10, 40, 38, 40)],
        "O": [], "8": [], "P": [(12, 6, 12, 44)], "i": [(24, 20, 24, 40), (24, 5, 24, 11)],
    }[name]  # fmt: skip
    circles = {"O": [(24, 24, 15)], "8": [(24, 14, 9), (24, 32, 9)], "P": [(22, 17, 10)]}.get(name, [])
    for x1, y1, x2, y2 in lines:
        cv2.line(image, (x1, y1), (x2, y2), 255, stroke)
    for x, y, radius in circles:
        cv2.circle(image, (x, y), radius, 255, stroke)
    return image[None, ..., None]


@pytest.mark.parametrize("stroke", [1, 3, 4])
@pytest.mark.parametrize(
    ("name", "ends", "crossings", "parts", "enclosed"),
    [
        ("I", 2, 0, 1, 0),
        ("L", 2, 0, 1, 0),
        ("T", 3, 1, 1, 0),
        ("X", 4, 1, 1, 0),
        ("H", 4, 2, 1, 0),
        ("E", 3, 1, 1, 0),
        ("A", 2, 2, 1, 1),
        ("O", 0, 0, 1, 1),
        ("8", 0, 1, 1, 2),
        ("i", 4, 0, 2, 0),
    ],
)
def test_letters_have_the_ends_crossings_and_holes_that_one_sees(
    name: str, ends: int, crossings: int, parts: int, enclosed: int, stroke: int
) -> None:
    image = drawn(name, stroke)
    found = Structure(3, 4, 5)(image)["structure"][0]
    assert found[:5].tolist() == [ends, crossings, parts, enclosed, parts - enclosed]
    zones = found[9 + 9 : 9 + 27].reshape(2, 9)
    assert zones.sum(1).tolist() == [ends, crossings]  # every end and crossing lies in one zone
    drawn_width = (drawn("I", stroke)[0, 24, :, 0] > 0).sum()
    assert found[6] * found[7:9].max() * 48 == pytest.approx(drawn_width, rel=0.25)


def test_neither_place_nor_size_nor_side_of_the_threshold_matters() -> None:
    image = drawn("P", 3)
    structure = Structure(4, 4, 10)
    found = structure(image)["structure"]
    np.testing.assert_allclose(structure(np.roll(image, (1, -4), (1, 2)))["structure"], found, atol=1e-5)
    np.testing.assert_allclose(structure(255 - image)["structure"], found, atol=1e-5)
    np.testing.assert_allclose(structure(image // 4 + 90)["structure"], found, atol=1e-5)
    coloured = np.where(image > 0, np.array([180, 20, 20], np.uint8), np.array([250, 240, 200], np.uint8))
    np.testing.assert_allclose(structure(coloured)["structure"], found, atol=1e-5)
    larger = cv2.resize(image[0], (96, 96), interpolation=cv2.INTER_NEAREST)[None, ..., None]
    np.testing.assert_allclose(structure(larger)["structure"][:, 9:25], found[:, 9:25], atol=0.12)


@pytest.mark.parametrize("size", [8, 9, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_blank_images_give_zeros_and_all_ink_is_finite(size: int, channels: int) -> None:
    structure = Structure(4, 4, 10)
    images = np.full((4, size, size, channels), 7, np.uint8)
    images[1, size // 2, size // 2] = 200  # one pixel
    images[2] = np.random.default_rng(0).integers(0, 256, (size, size, channels))
    images[3, :, : size // 2] = 255
    found = structure(images)["structure"]
    assert found.dtype == np.float32
    assert found.shape == (4, structure.dimensions["structure"])
    assert np.isfinite(found).all()
    assert not found[0].any()
    assert found[1:].any(1).all()
    assert found[1, :5].tolist() == [0, 0, 1, 0, 1]  # a dot has no ends


def test_ink_is_what_the_border_is_not() -> None:
    image = np.full((1, 20, 20), 250, np.uint8)
    image[0, 2:18, 2:18] = 30  # more than half of the image
    assert ink_of(image).sum() == 16 * 16
    assert ink_of(255 - image).sum() == 16 * 16


def parts_of(found: NDArray[np.float32], zones: int, directions: int, profiles: int) -> dict[str, NDArray[np.float32]]:
    """The numbers of one image by what they are."""
    counts = {
        "whole": 9,
        "ink": zones**2,
        "ends": zones**2,
        "crossings": zones**2,
        "lines": directions * zones**2,
        "arcs": directions * zones**2,
        "left": profiles,
        "right": profiles,
        "top": profiles,
        "bottom": profiles,
        "rows": profiles,
        "columns": profiles,
    }
    assert sum(counts.values()) == len(found)
    return dict(zip(counts, np.split(found, np.cumsum(list(counts.values()))[:-1]), strict=True))


@pytest.mark.parametrize(
    ("end", "direction"), [((44, 24), 0), ((40, 40), 1), ((24, 44), 2), ((8, 40), 3)], ids=["-", "\\", "|", "/"]
)
def test_a_straight_stroke_is_a_line_in_its_direction(end: tuple[int, int], direction: int) -> None:
    image = np.zeros((48, 48), np.uint8)
    cv2.line(image, (48 - end[0], 48 - end[1]), end, 255, 1)
    found = parts_of(Structure(2, 4, 5)(image[None, ..., None])["structure"][0], 2, 4, 5)
    lines, arcs = found["lines"].reshape(4, 4).sum(1), found["arcs"].sum()
    assert lines.argmax() == direction
    assert lines[direction] > 0.9 * lines.sum()
    assert arcs < 0.05 * lines.sum()


def test_a_circle_has_more_arc_than_a_square() -> None:
    image = np.zeros((2, 28, 28), np.uint8)
    cv2.circle(image[0], (14, 14), 7, 255, 1)
    cv2.rectangle(image[1], (4, 4), (24, 24), 255, 1)
    found = [parts_of(one, 2, 4, 5) for one in Structure(2, 4, 5)(image[..., None])["structure"]]
    share = [one["arcs"].sum() / (one["arcs"].sum() + one["lines"].sum()) for one in found]
    assert share[0] > 1.3 * share[1]


def test_zones_and_profiles_of_a_known_picture() -> None:
    image = np.zeros((30, 30), np.uint8)
    image[5:25, 5:10] = 255  # the left bar
    image[5:10, 5:25] = 255  # the upper bar
    image[20:25, 15:25] = 255  # the lower right block
    found = parts_of(Structure(4, 4, 4)(image[None, ..., None])["structure"][0], 4, 4, 4)
    np.testing.assert_allclose(found["ink"].reshape(4, 4), [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 1]])
    np.testing.assert_allclose(found["left"], 0)
    np.testing.assert_allclose(found["right"], [0, 0.75, 0.75, 0])
    np.testing.assert_allclose(found["top"], 0)
    np.testing.assert_allclose(found["bottom"], [0, 0.75, 0, 0])
    assert found["rows"].tolist() == [1, 1, 1, 2]
    assert found["columns"].tolist() == [1, 1, 2, 2]
