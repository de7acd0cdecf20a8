"""Masks as other tools leave them: colours, previews, other case, lossy or smoothed values, values that are ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotated_folders import COUNT, WIDTH, height_of, mask_of, name_of, picture, write_images, write_instances
from PIL import Image
from pydantic import ValidationError
from raw_folders import config

from sightline.data.encoding import encode_png
from sightline.data.raw.formats import open_source
from sightline.data.raw.preparation import prepare
from sightline.data.structures import UINT8, Sample
from sightline.system.errors import UserError

PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 255]], np.uint8)


def samples(dataset: Any) -> list[Sample]:
    source = open_source(dataset)
    return [source.sample(index) for index in range(len(source))]


def write_drawn(root: Path, save: Callable[[UINT8, Path], object], folder: str = "masks", **values: Any) -> Any:
    """Write masks of 0 = background, 1 = cat and 2 = dog by `save`."""
    write_images(root)
    (root / folder).mkdir(exist_ok=True)
    for number in range(COUNT):
        save(mask_of(number, (1, 2)), root / folder / f"{name_of(number)}.png")
    given = {"names": ["background", "cat", "dog"]} | values
    return config(format="mask_folder", root=str(root), masks=folder, **given)


def _png(mask: UINT8, file: Path) -> None:
    file.write_bytes(encode_png(mask))


def _coloured(mask: UINT8, file: Path) -> None:
    Image.fromarray(PALETTE[mask]).save(file)


def _with_palette(mask: UINT8, file: Path) -> None:
    image = Image.fromarray((2 - mask).astype(np.uint8), mode="P")  # in another order than the classes
    image.putpalette(PALETTE[::-1].ravel().tolist())
    image.save(file)


@pytest.mark.parametrize("save", [_coloured, _with_palette])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_table_of_colours_reads_masks_in_colours(
    tmp_path: Path, save: Callable[[UINT8, Path], None], as_text: bool
) -> None:
    colours = PALETTE.tolist()
    given = [f"#{red:02X}{green:02x}{blue:02x}" for red, green, blue in colours] if as_text else colours
    names = dict(zip(("background", "cat", "dog"), given, strict=True))
    plain = samples(write_drawn(tmp_path / "plain", _png))
    found = samples(write_drawn(tmp_path / "raw", save, names=names))
    for own, wanted in zip(found, plain, strict=True):
        np.testing.assert_array_equal(own.semantic, wanted.semantic)


def test_a_colour_of_no_class_is_named(tmp_path: Path, out: Path) -> None:
    names = {"background": "#000000", "cat": "#800000"}
    card = prepare("tiny", write_drawn(tmp_path / "raw", _coloured, names=names), out)
    assert "the colours #0080ff are not a class" in card.findings["mask_values"]["first"][0]["reason"]
    ignored = write_drawn(tmp_path / "ignored", _coloured, names=names, ignore_index="#0080ff")
    assert any(255 in np.unique(sample.semantic) for sample in samples(ignored) if sample.semantic is not None)


@pytest.mark.parametrize(
    "names",
    [
        {"a": 0, "b": "#000001"},
        {"a": "#000000", "b": [0, 0, 0]},
        {"a": "red"},
        {"a": [0, 0]},
        {"a": [0, 0, 256]},
        {"a": None},
    ],
)
def test_wrong_tables_of_colours_are_refused(names: Any) -> None:
    with pytest.raises(ValidationError):
        config(format="mask_folder", root="x", names=names)


def test_an_index_png_wins_over_a_preview_of_its_name(tmp_path: Path, out: Path) -> None:
    dataset = write_drawn(tmp_path / "raw", _png)
    for number in range(COUNT):
        Image.fromarray(PALETTE[mask_of(number, (1, 2))]).save(tmp_path / f"raw/masks/{name_of(number)}.jpg")
    card = prepare("tiny", dataset, out)
    assert card.findings["second_mask"]["count"] == COUNT
    assert (card.quarantined, card.dropped) == (0, 0)


def test_names_that_differ_in_case_belong_together(tmp_path: Path, out: Path) -> None:
    dataset = write_drawn(tmp_path / "raw", lambda mask, file: _png(mask, file.with_name(f"IMG{file.name}")))
    for file in sorted((tmp_path / "raw/images").iterdir()):
        file.rename(file.with_name(f"img{file.name}"))
    assert prepare("tiny", dataset, out).quarantined == 0


def test_two_images_of_one_mask_are_left_out(tmp_path: Path, out: Path) -> None:
    dataset = write_drawn(tmp_path / "raw", _png)
    (tmp_path / "raw/images/001.bmp").write_bytes(picture(40))
    card = prepare("tiny", dataset, out)
    found = card.findings["no_mask"]
    assert found["count"] == 2
    assert "may be its mask or that of images/001.png" in found["first"][0]["reason"]


@pytest.mark.parametrize("images", ["all", "."])
def test_masks_among_the_images_are_no_images(tmp_path: Path, out: Path, images: str) -> None:
    suffix = "_mask" if images == "all" else ""
    folder = "all" if images == "all" else "masks"
    root = tmp_path / "raw"
    write_images(root, "all")
    (root / folder).mkdir(exist_ok=True)
    for number in range(COUNT):
        _png(mask_of(number, (1, 2)), root / folder / f"{name_of(number)}{suffix}.png")
    if images == ".":
        for file in sorted((root / "all").iterdir()):
            file.rename(root / file.name)
    names = ["background", "cat", "dog"]
    dataset = config(format="mask_folder", root=str(root), images=images, masks=folder, mask_suffix=suffix, names=names)
    card = prepare("tiny", dataset, out)
    assert (sum(card.samples.values()), card.quarantined, card.dropped) == (COUNT, 0, 0)


def test_parts_may_share_a_folder_of_masks(tmp_path: Path, out: Path) -> None:
    dataset = write_drawn(tmp_path / "raw", _png)
    for number in range(8, COUNT):
        (tmp_path / "raw/val").mkdir(exist_ok=True)
        (tmp_path / f"raw/images/{name_of(number)}.png").rename(tmp_path / f"raw/val/{name_of(number)}.png")
    parts = {"images": {"train": "images", "val": "val"}, "masks": {"train": "masks", "val": "masks"}}
    assert prepare("tiny", dataset.model_copy(update=parts), out).samples["val"] == COUNT - 8


def _binary(mask: UINT8, file: Path) -> None:
    _png(np.where(mask > 0, 255, 0).astype(np.uint8), file)


def _as_jpeg(mask: UINT8, file: Path) -> None:
    Image.fromarray(mask * 100).save(file.with_suffix(".jpg"))


STOPS: dict[str, tuple[Callable[[UINT8, Path], None], Any, str]] = {
    "0 and 255": (
        _binary,
        ["bg", "fg"],
        r"'bg' is the only class in the masks, and \d+% .*ignored value 255; .*`names: \{bg: 0, fg: 255\}`",
    ),
    "jpeg": (
        _as_jpeg,
        ["a", "b"],
        r"all 12 samples are bad; .*masks/000.jpg: is a JPEG, whose "
        r"compression changes .*as PNG",
    ),
    "suffix forgotten": (
        lambda mask, file: _png(mask, file.with_stem(f"{file.stem}_mask")),
        ["a", "b", "c"],
        r"no image has a mask with its name; .*`mask_suffix: '_mask'`",
    ),
    "colours": (
        _coloured,
        ["a", "b", "c"],
        r"holds colours \(RGB\), .*colour masks need `names: \{NAME: '#ff8000'",
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_stops_in_one_line(tmp_path: Path, out: Path, case: str) -> None:
    save, names, told = STOPS[case]
    with pytest.raises(UserError, match=told) as error:
        prepare("tiny", write_drawn(tmp_path / "raw", save, names=names), out)
    assert len(error.value.lines) == 1
    assert not out.exists()


def test_masks_of_0_and_255_with_both_values_named_are_right(tmp_path: Path, out: Path) -> None:
    card = prepare("tiny", write_drawn(tmp_path / "raw", _binary, names={"bg": 0, "fg": 255}), out)
    assert all(card.pixels["train"].values())


def test_a_class_that_never_occurs_while_pixels_are_ignored_is_told(tmp_path: Path, out: Path) -> None:
    def save(mask: UINT8, file: Path) -> None:
        _png(np.where(mask == 2, 255, mask).astype(np.uint8), file)

    card = prepare("tiny", write_drawn(tmp_path / "raw", save), out)
    assert card.findings["ignored_pixels"]["first"][0]["source"] == "class dog"


def _spoilt(root: Path, save: Callable[[UINT8, Path], None]) -> Any:
    dataset = write_instances(root)
    for number in range(COUNT):
        file = root / f"PedMasks/{name_of(number)}_mask.png"
        file.unlink()
        save(mask_of(number, (60, 140)), file)
    return dataset


def _smoothly(mask: UINT8, file: Path) -> None:
    small = cv2.resize(mask, (13, 11), interpolation=cv2.INTER_NEAREST)
    _png(cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8), file)


def _instance_jpeg(mask: UINT8, file: Path) -> None:
    Image.fromarray(mask).save(file.with_suffix(".jpg"))


@pytest.mark.parametrize(("save", "told"), [(_smoothly, "with interpolation"), (_instance_jpeg, "is a JPEG")])
def test_instance_masks_of_changed_values_make_no_objects(
    tmp_path: Path, out: Path, save: Callable[[UINT8, Path], None], told: str
) -> None:
    dataset = _spoilt(tmp_path / "raw", save)
    with pytest.raises(UserError, match=told) as error:
        prepare("tiny", dataset, out)
    assert len(error.value.lines) == 1


def test_touching_and_thin_objects_are_not_smoothed(tmp_path: Path, out: Path) -> None:
    """Two hundred small squares side by side, and lines of one pixel between them and the background."""
    dataset = write_instances(tmp_path / "raw")
    for number in range(COUNT):
        squares = np.arange(1, 10 * 8 + 1, dtype=np.uint8).reshape(10, 8).repeat(3, 0).repeat(5, 1)
        mask = np.zeros((height_of(number), WIDTH), np.uint8)
        mask[:30] = squares
        mask[10, :20] = 250
        (tmp_path / f"raw/PedMasks/{name_of(number)}_mask.png").write_bytes(encode_png(mask))
    card = prepare("tiny", dataset, out)
    assert "smoothed" not in card.findings
