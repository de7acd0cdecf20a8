"""Boxes, masks and key points stay on their objects, as the pixels show, under every ready-made policy."""

from __future__ import annotations

from typing import Any

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import pytest

from sightline.config.augmentations import READY_POLICIES, ReadyPolicy
from sightline.config.transforms import find_mistakes, transform_names
from sightline.config.trials import find_misfits
from sightline.data.structures import UINT8
from sightline.data.vary import augmentation
from sightline.data.vary.augmentation import Augmenter, boxes_of
from sightline.data.vary.distortions import bent_points
from sightline.data.vary.geometry import Geometry
from sightline.data.vary.policies import KEPT, ready_policy, ten_crops

MOVING: tuple[ReadyPolicy, ...] = ("light", "medium", "heavy", "light_mirrored", "alexnet", "tencrop")
SIDE = 96
CELL = SIDE // 3


def draw_scene(seed: int) -> tuple[UINT8, Geometry]:
    """Return a grey image with a red, a green and a blue ellipse that do not touch, and their annotations."""
    random = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 127, np.uint8)
    masks, points = [], []
    semantic = np.zeros((SIDE, SIDE), np.uint8)
    for colour, cell in enumerate(random.permutation(9)[:3]):
        centre = np.array([cell % 3, cell // 3]) * CELL + CELL // 2 + random.integers(-3, 4, 2)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        axes = tuple(int(value) for value in random.integers(6, 12, 2))
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, 1, -1)
        image[mask == 1] = np.eye(3, dtype=np.uint8)[colour] * 255
        semantic[mask == 1] = colour + 1
        masks.append(mask)
        points.append([[*(centre + 0.5), 2]])
    stack = np.stack(masks)
    return image, Geometry(boxes_of(stack), np.arange(3), stack, semantic, np.array(points, np.float32))


def coloured(image: UINT8, colour: int, least: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which pixels show the object of a colour: its channel stands out of the others."""
    channels = image.astype(int)
    others = np.delete(channels, colour, axis=2).max(2)
    return channels[..., colour] - others > least


def without_colours(policy: list[Any]) -> list[Any]:
    """Return the transforms that move pixels, so that what is left of an object is all that the pixels show."""
    moving = []
    for entry in policy:
        [(name, arguments)] = entry.items()
        inner = [next(iter(one)) for one in arguments.get("transforms", [])] or [name]
        if all(issubclass(getattr(A, one), A.DualTransform) and one != "CoarseDropout" for one in inner):
            moving.append(entry)
    return moving


def check_moves(policy: list[Any], seed: int, with_masks: bool) -> None:
    """Compare annotations with pixels after the moves of a policy."""
    image, before = draw_scene(seed)
    if not with_masks:
        before.masks = None
    moved, after = Augmenter(policy, seed=seed).with_geometry(image, before, 0, "a")
    assert moved.shape == image.shape
    assert after.keypoints is not None
    assert after.semantic is not None
    left = set()
    for place, colour in enumerate(after.box_labels.tolist()):
        seen = coloured(moved, colour, 127)
        if seen.sum() < 40:
            continue
        left.add(colour)
        extent, box = boxes_of(seen[None])[0], after.boxes[place]
        framed = extent[:2].min() > 1 and extent[2:].max() < SIDE - 1
        if framed:  # of a cut ellipse a box only knows that it ends at the border
            np.testing.assert_allclose(box, extent, atol=3.0 if with_masks else 3.5)
            rows, columns = np.nonzero(seen)
            x, y, visible = after.keypoints[place, 0]
            assert visible == 2
            assert np.hypot(x - columns.mean() - 0.5, y - rows.mean() - 0.5) < 2.5
        assert (box[:2] < extent[:2] + 3).all()
        assert (box[2:] > extent[2:] - 3).all()
        assert (after.semantic[seen] == colour + 1).mean() > 0.8  # the rest is an edge
        if after.masks is not None:
            mask = after.masks[place] == 1
            assert (mask & seen).sum() / (mask | seen).sum() > 0.75
    missing = [colour for colour in range(3) if coloured(moved, colour, 127).sum() > 60 and colour not in left]
    assert not missing, "an object is seen, but its box is lost"


def check_whole(policy: ReadyPolicy, seed: int) -> None:
    """Look with colours, noise and holes for what can still be told: nothing of an object is outside of its box."""
    image, before = draw_scene(seed)
    changed, after = Augmenter(policy, seed=seed).with_geometry(image, before, 0, "a")
    smooth = cv2.medianBlur(changed, 5)
    for colour, box in zip(after.box_labels.tolist(), after.boxes, strict=True):
        rows, columns = np.nonzero(coloured(smooth, colour, 45))
        if len(rows) < 30:
            continue
        x, y = columns + 0.5, rows + 0.5
        inside = (x > box[0] - 2) & (x < box[2] + 2) & (y > box[1] - 2) & (y < box[3] + 2)
        assert inside.mean() > 0.9


def check_several(policy: list[Any]) -> None:
    for seed in range(12):
        check_moves(policy, seed, with_masks=True)
        check_moves(policy, seed, with_masks=False)


def check(policy: ReadyPolicy, seed: int) -> None:
    moves = without_colours(ready_policy(policy))
    check_moves(moves, seed, with_masks=True)
    check_moves(moves, seed, with_masks=False)
    check_whole(policy, seed)


@pytest.mark.parametrize("policy", MOVING)
def test_annotations_stay_on_their_objects(policy: ReadyPolicy) -> None:
    for seed in range(30):
        check(policy, seed)


@pytest.mark.slow
@pytest.mark.parametrize("policy", MOVING)
def test_annotations_stay_on_a_thousand_scenes(policy: ReadyPolicy) -> None:
    for seed in range(30, 230):
        check(policy, seed)


def test_the_check_notices_points_that_stay_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "bent_points", lambda keypoints, **_: keypoints)
    bent: list[Any] = [{"GridDistortion": {"distort_limit": [-0.4, 0.4], "p": 1.0}}]
    with pytest.raises(AssertionError):
        check_several(bent)


@pytest.mark.parametrize(
    "transform",
    [
        {"ElasticTransform": {"alpha": 60, "sigma": 8, "p": 1.0}},
        {"OpticalDistortion": {"distort_limit": [-0.2, 0.2], "p": 1.0}},
        {"RandomResizedCrop": {"size": [64, 48], "scale": [0.6, 1.0], "ratio": [0.7, 0.8], "p": 1.0}},
        {"CropAndPad": {"percent": [-0.1, 0.1], "p": 1.0}},
        {"Rotate": {"limit": [-90, 90], "p": 1.0}},
        {"D4": {"p": 1.0}},
        {"RandomRotate90": {"p": 1.0}},
        {"RandomScale": {"scale_limit": [-0.4, 0.4], "p": 1.0}},
    ],
)
def test_users_transforms_keep_annotations_too(transform: Any) -> None:
    assert not list(find_mistakes([transform]))
    check_several([transform])


def test_every_transform_may_be_named() -> None:
    """Some know no `strict`; whatever else they lack is told, as arguments without a default."""
    for name in transform_names():
        for path, told in find_mistakes([{name: {}}]):
            assert "strict" not in told, (name, path, told)
    for name in ("RandomRotate90", "MedianBlur", "ToSepia", "D4"):
        assert not list(find_mistakes([{name: {"p": 0.3}}]))
        [(path, _)] = find_mistakes([{name: {"p": 3}}])
        assert path == f"[0].{name}.p"
    assert list(find_mistakes([{"MedianBlur": {"blur_limit": "wide"}}]))


@pytest.mark.parametrize("policy", READY_POLICIES)
def test_ready_policies_are_lists_that_a_user_could_write(policy: ReadyPolicy) -> None:
    entries = ready_policy(policy)
    assert not list(find_mistakes(entries))
    for size, channels in ((8, 1), (28, 1), (96, 3)):
        assert not list(find_misfits(entries, size, channels, spatial=True))
    if policy != "none":
        image, _ = draw_scene(0)
        for channels in (1, 3):
            varied = [Augmenter(policy, seed=0)(image[..., :channels], epoch, "a") for epoch in range(4)]
            assert all(one.shape == (SIDE, SIDE, channels) and one.dtype == np.uint8 for one in varied)
            assert len({one.tobytes() for one in varied}) > 1


@pytest.mark.parametrize("policy", ["light", "medium", "heavy"])
def test_these_never_mirror(policy: ReadyPolicy) -> None:
    points = np.array([[[20, 20, 2], [70, 20, 2], [20, 70, 2]]], np.float32)
    geometry = Geometry(np.array([[10, 10, 80, 80]], np.float32), np.array([0]), keypoints=points)
    for seed in range(60):
        _, after = Augmenter(policy, seed=seed).with_geometry(draw_scene(0)[0], geometry, 0, "a")
        assert after.keypoints is not None
        if len(after.keypoints) and (after.keypoints[0, :, 2] == 2).all():
            (x1, y1), (x2, y2) = after.keypoints[0, 1:, :2] - after.keypoints[0, 0, :2]
            assert x1 * y2 - x2 * y1 > 0


def test_ten_crops_are_four_corners_the_centre_and_their_mirror_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    views = ten_crops(image)
    assert views.shape == (10, 256, 256, 3)
    side = round(256 * KEPT)
    assert side == 224
    corners = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    for view, (top, left) in zip(views, corners, strict=False):
        cut = image[top : top + side, left : left + side]
        np.testing.assert_array_equal(view, cv2.resize(cut, (256, 256), interpolation=cv2.INTER_LINEAR))
    np.testing.assert_array_equal(views[5:], views[:5, :, ::-1])
    assert ten_crops(image[:40, :60, :1]).shape == (10, 40, 60, 1)


def test_tencrop_draws_the_views_of_ten_crops() -> None:
    image, _ = draw_scene(3)
    views = ten_crops(image).astype(int)
    found = set()
    augment = Augmenter("tencrop", seed=0)
    for epoch in range(80):
        far = np.abs(views - augment(image, epoch, "a")).mean((1, 2, 3))
        assert far.min() < 2  # the last bits of two ways to interpolate
        found.add(int(far.argmin()))
    assert found == set(range(10))


def test_bent_points_are_where_the_map_shows_them() -> None:
    rows, columns = np.mgrid[:80, :100].astype(np.float32)
    map_x, map_y = columns + 5 * np.sin(rows / 15), rows + 4 * np.cos(columns / 20)
    points = np.array([[30, 40, 0, 1], [70, 20, 0, 1], [-10, 200, 7, 8]], np.float32)
    moved = bent_points(points, map_x.astype(np.float32), map_y.astype(np.float32), shape=(80, 100, 3))
    for (x, y), wanted in zip(moved[:2, :2], points[:2, :2], strict=True):
        back = x + 5 * np.sin(y / 15), y + 4 * np.cos(x / 20)
        np.testing.assert_allclose(back, wanted, atol=0.15)
    assert moved[2, 2:].tolist() == [7, 8]
    assert len(bent_points(points[:0], map_x, map_y)) == 0


def turned_over(policy: ReadyPolicy, draws: int) -> int:
    """Return how many of so many images show left and right exchanged."""
    image, corners = np.zeros((SIDE, SIDE, 3), np.uint8), [[30, 40, 2], [60, 40, 2], [30, 60, 2]]
    geometry = Geometry(np.array([[20, 20, 80, 80]], np.float32), np.array([0]))
    geometry.keypoints = np.array([corners], np.float32)
    count = 0
    for epoch in range(draws):
        after = Augmenter(policy, seed=0).with_geometry(image, geometry, epoch, "a")[1]
        assert after.keypoints is not None
        (ax, ay), (bx, by), (cx, cy) = after.keypoints[0, :, :2]
        count += (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0
    return count


@pytest.mark.parametrize("policy", ["light", "medium", "trivial"])
def test_digits_and_text_are_never_mirrored(policy: ReadyPolicy) -> None:
    assert turned_over(policy, 60) == 0


@pytest.mark.parametrize("policy", ["light_mirrored", "trivial_mirrored"])
def test_half_are_mirrored_where_that_is_asked_for(policy: ReadyPolicy) -> None:
    """Of 200 fair coins 100 fall so, with a deviation of 7."""
    assert 70 <= turned_over(policy, 200) <= 130


def test_trivial_applies_one_transform_of_each_kind_as_often() -> None:
    [entry] = ready_policy("trivial")
    kinds = entry["OneOf"]["transforms"]
    assert len(kinds) == 14
    assert {next(iter(kind.values()))["p"] for kind in kinds} == {1.0}
    assert entry["OneOf"]["p"] == 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_trivial_takes_grey_and_coloured_images(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, channels), np.uint8)
    augmenter = Augmenter("trivial", seed=1)
    seen = [augmenter(image.copy(), epoch, "a") for epoch in range(60)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in seen)
    assert 1 < sum(not np.array_equal(one, image) for one in seen) < 60, "one of the transforms changes nothing"
