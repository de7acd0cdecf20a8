"""`datasets:` where images come from, how they are split and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Union

from pydantic import Field, field_validator, model_validator

from sightline.config.base import PositiveInt
from sightline.config.dataset_section import Checks, DatasetSection, Text, different
from sightline.config.own import OwnFormat
from sightline.config.plugins import FORMATS, sections

PerSplit = Text | Annotated[dict[Literal["train", "val", "test"], Text], Field(min_length=1)]  # one, or one per split
ONE_SCENE = Checks(near_duplicate_bits=-1)  # good images of one object are nearly the same
_MaskValue = Annotated[int, Field(ge=0, le=65535)]
_Byte = Annotated[int, Field(ge=0, le=255)]
_Side = Annotated[int, Field(ge=12, le=200)]
_HexColour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$", description="a colour as '#ff8000', in quotes")]
_Colour = _HexColour | Annotated[list[_Byte], Field(min_length=3, max_length=3)]


class ImageFolder(DatasetSection):
    """One folder per class, with or without train/, val/ and test/ above them."""

    format: Literal["image_folder"]


class CsvTable(DatasetSection):
    """A table with the column path, the targets label, labels, text or `values`, and optionally split and group."""

    format: Literal["csv"]
    table: Text = Field("labels.csv", description="the table; its path and the paths in it are relative to root")
    values: list[Text] = Field([], description="columns of numbers to predict, for regression")
    text: Text | None = Field(
        None, description="column with what is written on an image; null: text, where there is no other target"
    )

    @field_validator("values")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        return different(names) or []


class TextList(DatasetSection):
    """Lists of images with what is written on them, as those of ICDAR and IIIT 5K: `path text` in each line."""

    format: Literal["text_list"]
    lists: PerSplit = Field("labels.txt", description="the text file, or one per split, below root")


class Idx(DatasetSection):
    """The IDX files of MNIST and its relatives, gzipped or not."""

    format: Literal["idx"]


class Drawn(DatasetSection):
    """Images with objects or maps that other files draw on them."""

    allow_empty: bool = Field(
        False, description="true: accept annotation files that no image uses, and splits without an object"
    )


class _Paired(Drawn):
    """Images in one place and what is known of them in another, each one path or one per split."""

    @model_validator(mode="after")
    def _same_splits(self) -> _Paired:
        fields = {name: value for name, value in self if name in _PER_SPLIT and isinstance(value, dict)}
        if len({tuple(sorted(value)) for value in fields.values()}) > 1:
            told = ", ".join(f"{name} has {', '.join(value)}" for name, value in fields.items())
            raise ValueError(f"the splits differ: {told}; name the same splits in each")
        if "images" in fields and len(fields) == 1:
            raise ValueError("images has splits; name the annotations or masks of each split too")
        return self


_PER_SPLIT = ("annotations", "images", "masks")


class Coco(_Paired):
    """COCO's JSON: boxes, polygons, run lengths, crowds, key points."""

    format: Literal["coco"]
    annotations: PerSplit = Field("annotations.json", description="the JSON file, or one per split, below root")
    images: PerSplit = Field("images", description="folder of the images, or one per split, below root")
    crowds: Literal["ignored", "objects"] = Field(
        "ignored", description="objects: ignore `iscrowd`, because CVAT sets it for brush masks"
    )


class Voc(Drawn):
    """Pascal VOC: an XML file per image, in Annotations/ or next to it; lists or folders are the split."""

    format: Literal["voc"]


class Yolo(Drawn):
    """YOLO's text files: images/ next to labels/; names and split in data.yaml, obj.data, or lists."""

    format: Literal["yolo"]
    boxes: Literal["upright", "oriented"] = Field(
        "upright", description="oriented: rows of four corners are oriented boxes (YOLO-OBB), and not outlines"
    )


class Dota(Drawn):
    """DOTA's text files of oriented boxes: labelTxt/ next to images/; folders are the split."""

    format: Literal["dota"]


class MaskFolder(_Paired):
    """Index masks: one PNG per image, whose values are classes."""

    format: Literal["mask_folder"]
    images: PerSplit = Field("images", description="folder of the images, or one per split, below root")
    masks: PerSplit = Field("masks", description="folder of the masks, or one per split, below root")
    mask_suffix: str = Field("", description="what follows the image's name in a mask's name, e.g. _mask")
    names: Annotated[list[Text] | dict[Text, _MaskValue | _Colour], Field(min_length=1)] = Field(
        description="names of the mask values 0, 1, 2, ..., or NAME: VALUE pairs, or NAME: COLOUR ('#ff8000')"
    )
    ignore_index: _MaskValue | _HexColour | list[_MaskValue | _HexColour] = Field(
        255, description="mask values that are neither learned nor scored"
    )

    @model_validator(mode="after")
    def _one_meaning(self) -> MaskFolder:
        if isinstance(self.names, list):
            different(self.names)
        elif 0 < sum(not isinstance(value, int) for value in self.names.values()) < len(self.names):
            raise ValueError("names mixes numbers and colours; use one kind for all classes")
        values = self.mask_values()
        if len(values) > 255:
            raise ValueError(f"names has {len(values)} classes, at most 255 are allowed")
        if len(set(values.values())) < len(values):
            raise ValueError("names gives two classes the same value; give each a different one")
        both = set(self._given_ignored()) & set(values.values())
        if both - (set() if self.in_colours() else {255}):  # masks of 0 and 255 need no ignore_index
            raise ValueError(f"the value {min(both)} is in names and in ignore_index; keep it in one of them")
        return self

    def in_colours(self) -> bool:
        """Return whether masks are in colours, as names says."""
        return isinstance(self.names, dict) and not isinstance(next(iter(self.names.values())), int)

    def mask_values(self) -> dict[str, int]:
        """Return the mask value of each class; of a colour 65536 red + 256 green + blue."""
        if isinstance(self.names, list):
            return {name: value for value, name in enumerate(self.names)}
        values = {name: _number(value) for name, value in self.names.items()}
        return values if self.in_colours() else dict(sorted(values.items(), key=lambda pair: pair[1]))

    def ignored_values(self) -> list[int]:
        """Return the mask values that are not a class; 255 is one unless a class has it, or masks are in colours."""
        always = set() if self.in_colours() else {255}
        return sorted({*self._given_ignored(), *always} - set(self.mask_values().values()))

    def _given_ignored(self) -> list[int]:
        given = self.ignore_index if isinstance(self.ignore_index, list) else [self.ignore_index]
        return [_number(value) for value in given if isinstance(value, str) == self.in_colours()]


def _number(value: int | str | list[int]) -> int:
    """Return a mask value as one number."""
    if isinstance(value, str):
        return int(value[1:], 16)
    return value if isinstance(value, int) else (value[0] << 16) | (value[1] << 8) | value[2]


class InstanceMasks(_Paired):
    """One PNG per image, 0 = background, each other value an object; all of one class."""

    format: Literal["instance_masks"]
    images: PerSplit = Field("PNGImages", description="folder of the images, or one per split, below root")
    masks: PerSplit = Field("PedMasks", description="folder of the masks, or one per split, below root")
    mask_suffix: str = Field("_mask", description="what follows the image's name in a mask's name")
    class_name: Text = Field("object", description="the class of every object")


class Via(_Paired):
    """The VGG Image Annotator's JSON: polygons, rectangles, circles and ellipses."""

    format: Literal["via"]
    annotations: PerSplit = Field("via_region_data.json", description="the JSON file, or one per split, below root")
    images: PerSplit = Field(".", description="folder of the images, or one per split, below root")
    attribute: Text | None = Field(
        None, description="region attribute with the class; null: all regions have the same class"
    )
    class_name: Text = Field("object", description="the class of every region if there is no attribute")


class Mvtec(DatasetSection):
    """MVTec AD: train/good, test/good, test/DEFECT, ground_truth/DEFECT/NAME_mask.png; one object or texture."""

    good_alone_in_train: ClassVar[bool] = True

    format: Literal["mvtec"]
    checks: Checks = Field(ONE_SCENE, description="limits for rejections and warnings")


class Digits(DatasetSection):
    """scikit-learn's 1,797 scanned digits, 8 x 8."""

    format: Literal["digits"]


class Scenes(DatasetSection):
    """Digits in random colours on crops of two photographs, every label known by construction."""

    format: Literal["scenes"]
    count: PositiveInt = Field(800, description="number of images to generate")
    size: Annotated[int, Field(ge=64, le=2048)] = Field(
        96, description="height and width in pixels; above 400 the photographs go on as mirror images"
    )
    max_objects: Annotated[int, Field(ge=1, le=64)] = Field(4, description="largest number of digits in an image")
    digit_size: Annotated[list[_Side], Field(min_length=2, max_length=2)] = Field(
        [20, 40], description="least and largest side of a digit's scan in pixels, of which ink fills most"
    )
    turn: Annotated[float, Field(gt=0, le=180)] | None = Field(
        None,
        description="degrees by which digits are turned at most, to either side, each with an oriented box; null: 20, "
        "with upright boxes alone",
    )
    seed: int = Field(0, description="a different value gives different images")

    @model_validator(mode="after")
    def _digits_fit(self) -> Scenes:
        least, largest = self.digit_size
        if not least <= largest <= 2 * self.size / 3:
            raise ValueError(f"digit_size: {self.digit_size}: must be least and largest, at most two thirds of size")
        return self


class Figures(DatasetSection):
    """One drawn person on a crop of a photograph, with 13 key points known by construction."""

    format: Literal["figures"]
    count: PositiveInt = Field(800, description="number of images to generate")
    size: Annotated[int, Field(ge=64, le=400)] = Field(96, description="height and width in pixels")
    seed: int = Field(0, description="a different value gives different images")


class Strings(DatasetSection):
    """Lines of handwritten digits in random colours on crops of two photographs; each digit is in one split only."""

    format: Literal["strings"]
    digits: Literal["scanned", "mnist"] = Field(
        "scanned", description="scanned: scikit-learn's; mnist: those of the IDX files in root, its test digits in test"
    )
    count: PositiveInt = Field(3000, description="number of strips to generate")
    height: Annotated[int, Field(ge=24, le=96)] = Field(
        32, description="of a strip in pixels; it is at most 4 times as wide"
    )
    shortest: Annotated[int, Field(ge=1, le=12)] = Field(3, description="smallest number of digits in a strip")
    longest: Annotated[int, Field(ge=1, le=12)] = Field(8, description="largest number of digits in a strip")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="a different value gives different strips")

    @model_validator(mode="after")
    def _lengths_fit(self) -> Strings:
        if self.shortest > self.longest:
            raise ValueError(f"shortest is {self.shortest}, more than longest, which is {self.longest}")
        return self


class Defects(DatasetSection):
    """One part of a photograph again and again, in test and validation also with scratches, spots, holes, stains."""

    good_alone_in_train: ClassVar[bool] = True

    format: Literal["defects"]
    count: Annotated[int, Field(ge=20)] = Field(300, description="number of images to generate")
    size: Annotated[int, Field(ge=64, le=180)] = Field(128, description="height and width in pixels")
    seed: int = Field(0, description="a different value gives different images")
    checks: Checks = Field(ONE_SCENE, description="limits for rejections and warnings")


_Table = ImageFolder | CsvTable | TextList | Idx
_Annotated = Coco | Voc | Yolo | Dota | MaskFolder | InstanceMasks | Via | Mvtec
_Embedded = Digits | Scenes | Figures | Strings | Defects
if TYPE_CHECKING:

    class _AnyOwnFormat(OwnFormat):
        """What a type checker sees in place of those that are installed."""

        format: Literal["own"]

    Dataset = _Table | _Annotated | _Embedded | _AnyOwnFormat
else:
    _BUILT_IN = _Table | _Annotated | _Embedded
    Dataset = Annotated[
        Union[(_BUILT_IN, *sections(FORMATS, OwnFormat, "format").values())], Field(discriminator="format")
    ]
