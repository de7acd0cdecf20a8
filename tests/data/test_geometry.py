"""Annotations follow their images into the network's input, through augmentation, and back."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.data.cache import decoded
from sightline.data.images import Resize, fit, place
from sightline.data.store import SplitStore
from sightline.data.vary.augmentation import Augmenter, boxes_of
from sightline.data.vary.geometry import Annotations, Geometry, within
from sightline.training.datamodule import PreparedData

RESIZES: tuple[Resize, ...] = ("letterbox", "stretch", "crop")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("shape", [(60, 90), (97, 41), (64, 64)])
def test_a_point_lands_where_its_pixels_land(shape: tuple[int, int], resize: Resize) -> None:
    image = np.zeros((*shape, 1), np.uint8)
    top, left = shape[0] // 2 - 8, shape[1] // 2 - 6
    image[top : top + 12, left : left + 10] = 255
    spot = place(*shape, 128, resize)
    moved = spot.into_input(np.array([[left, top, left + 10, top + 12]], np.float32))[0]
    rows, columns = np.nonzero(fit(image, 128, resize)[..., 0] > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(moved, seen, atol=1.01)
    np.testing.assert_allclose(spot.into_original(moved), [left, top, left + 10, top + 12], atol=1e-3)


@pytest.mark.parametrize("resize", RESIZES)
def test_maps_go_in_and_come_back(resize: Resize) -> None:
    classes = np.zeros((50, 80), np.uint8)
    cv2.circle(classes, (40, 25), 15, 3, -1)
    spot = place(50, 80, 160, resize)
    inside = spot.map_into_input(classes, 255)
    assert set(np.unique(inside)) == ({0, 3, 255} if resize == "letterbox" else {0, 3})
    back = spot.map_into_original(inside)
    assert back.shape == (50, 80)
    seen = (slice(None), slice(15, 65)) if resize == "crop" else (slice(None), slice(None))
    assert (back[seen] == classes[seen]).mean() > 0.995


def drawn_geometry(seed: int) -> tuple[Any, Geometry]:
    """Return an image with three discs whose grey level is their number, and their annotations."""
    random = np.random.default_rng(seed)
    image, masks, points = np.zeros((96, 96, 1), np.uint8), [], []
    for number in range(3):
        centre, radius = random.integers(25, 71, 2), int(random.integers(6, 12))
        mask = np.zeros((96, 96), np.uint8)
        cv2.circle(mask, (int(centre[0]), int(centre[1])), radius, 1, -1)
        masks.append(mask)
        image[mask == 1] = 80 * (number + 1)
        points.append([[*(centre + 0.5), 2]])
    for above in range(2, 0, -1):
        for below in range(above):
            masks[below] = masks[below] & ~masks[above] & 1
    stack = np.stack(masks)
    semantic = np.zeros((96, 96), np.uint8)
    for number, mask in enumerate(stack):
        semantic[mask == 1] = number + 1
    return image, Geometry(boxes_of(stack), np.arange(3), stack, semantic, np.array(points, np.float32))


@pytest.mark.parametrize("seed", range(40))
def test_annotations_stay_on_their_objects_under_augmentation(seed: int) -> None:
    image, geometry = drawn_geometry(seed)
    augment = Augmenter("light", seed=seed)
    augment.transform.transforms[1].p = 0.0  # move, without changes of light
    moved, after = augment.with_geometry(image, geometry, 0, "a")
    assert after.masks is not None
    assert after.semantic is not None
    assert after.keypoints is not None
    for box, label, mask, points in zip(after.boxes, after.box_labels, after.masks, after.keypoints, strict=True):
        grey = np.median(moved[..., 0][mask == 1])
        assert abs(int(grey) - 80 * (int(label) + 1)) < 10
        np.testing.assert_allclose(box, boxes_of(mask[None])[0])
        x, y, visible = points[0]
        if visible and geometry.masks is not None and mask[min(95, int(y)), min(95, int(x))]:
            assert np.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2) < 12
        assert (after.semantic[mask == 1] == label + 1).mean() > 0.9


def test_boxes_without_masks_follow_too() -> None:
    for seed in range(40):
        image, geometry = drawn_geometry(seed)
        with_masks = Augmenter("light", seed=seed).with_geometry(image, geometry, 0, "a")[1]
        bare = Geometry(geometry.boxes, geometry.box_labels)
        without = Augmenter("light", seed=seed).with_geometry(image, bare, 0, "a")[1]
        for label, box in zip(with_masks.box_labels, with_masks.boxes, strict=True):
            if geometry.masks is not None and geometry.masks[label].sum() > 200:  # hardly covered by others
                np.testing.assert_allclose(without.boxes[without.box_labels == label][0], box, atol=3)


def test_a_mirrored_image_exchanges_left_and_right() -> None:
    import albumentations as A  # noqa: N812

    augment = Augmenter("light", seed=0, mirrored=(1, 0))
    params = A.KeypointParams("xy", remove_invisible=False)
    augment.transform = A.Compose([A.HorizontalFlip(p=1.0)], keypoint_params=params)
    points = np.array([[[10, 20, 2], [30, 20, 1]]], np.float32)
    geometry = Geometry(np.array([[5, 5, 40, 40]], np.float32), np.array([0]), keypoints=points)
    _, after = augment.with_geometry(np.zeros((96, 96, 1), np.uint8), geometry, 0, "a")
    assert after.keypoints is not None
    np.testing.assert_allclose(after.keypoints[0, :, 0], [65, 85], atol=1.01)
    assert after.keypoints[0, :, 2].tolist() == [1, 2]
    np.testing.assert_allclose(after.boxes, [[56, 5, 91, 40]], atol=1.01)


def test_images_without_objects_are_augmented_too() -> None:
    """As where only a semantic map is known, and on images on which there is nothing."""
    nothing = Geometry(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int64),
        masks=np.zeros((0, 96, 96), np.uint8),
        semantic=np.full((96, 96), 3, np.uint8),
        keypoints=np.zeros((0, 2, 3), np.float32),
    )
    image = np.full((96, 96, 1), 9, np.uint8)
    for sample in "abcd":
        changed, after = Augmenter("light", seed=0).with_geometry(image, nothing, 0, sample)
        assert changed.shape == image.shape
        assert (len(after.boxes), len(after.box_labels)) == (0, 0)
        assert after.semantic is not None
        assert set(np.unique(after.semantic)) <= {3, 255}
        assert (after.semantic == 3).mean() > 0.5


def test_objects_that_leave_the_image_are_left_out() -> None:
    boxes = np.array([[-50, 0, 2, 10], [90, 90, 100, 100], [10, 10, 20, 20]], np.float32)
    points = np.array([[[-3, 5, 2]], [[95, 95, 2]], [[200, 3, 1]]], np.float32)
    left = within(Geometry(boxes, np.arange(3), keypoints=points), 96, 96)
    assert left.box_labels.tolist() == [1, 2]
    assert left.boxes.max() <= 96
    assert left.keypoints is not None
    assert left.keypoints[:, 0].tolist() == [[95, 95, 2], [0, 0, 0]]


@pytest.mark.parametrize("augment", ["none", "light"])
def test_batches_carry_boxes_masks_and_maps(scenes: Path, augment: Any) -> None:
    fields = ("boxes", "box_labels", "instances", "semantic")
    data = PreparedData(
        scenes, fields, size=64, channels=3, resize="letterbox", augment=augment, batch_size=8, num_workers=0, seed=0
    )
    batch = data.data["train"].__getitems__([(0, index) for index in range(8)])
    store = SplitStore(scenes / "train")
    assert batch.images.shape == (8, 64, 64, 3)
    assert batch.targets["semantic"].shape == (8, 64, 64)
    for boxes, labels, masks in zip(*(batch.targets[name] for name in fields[:3]), strict=True):
        assert len(boxes) == len(labels) == len(masks) > 0
        np.testing.assert_allclose(boxes_of(masks.numpy()), boxes.numpy(), atol=2.5)
    if augment == "none":
        sample = store.sample(0)
        assert sample.boxes is not None
        _, places = decoded([store.image(0)], 64, 3, "letterbox")
        np.testing.assert_allclose(batch.targets["boxes"][0], places[0].into_input(sample.boxes), atol=1e-4)


def test_crowds_are_no_objects(scenes: Path) -> None:
    store = SplitStore(scenes / "train")
    plain = Annotations(store, ("boxes", "box_labels"), 64, "letterbox")[0]
    crowds = [list(flags) for flags in store.column("iscrowd")]
    crowds[0][0] = True
    original = store.column
    store.column = lambda name: crowds if name == "iscrowd" else original(name)  # type: ignore[method-assign]
    assert len(Annotations(store, ("boxes", "box_labels"), 64, "letterbox")[0].boxes) == len(plain.boxes) - 1
