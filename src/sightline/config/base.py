"""What every section of the schema has in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A mapping in `params.yaml`: unknown keys and silent type conversions are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class TaskSection(Section):
    """`models.*.task:` of any kind, and what other sections ask of a kind."""

    one_class_per_image: ClassVar[bool] = False  # every sample has exactly one class
    takes_crops: ClassVar[bool] = False  # it can look at what a detector cut out of an image
    finds_boxes: ClassVar[bool] = False  # its predictions have boxes, to which images can be cropped
    spatial: ClassVar[bool] = False  # the truth has places, which move with the image
    mixes_labels: ClassVar[bool] = False  # two images may be mixed, and their classes with them
    mixes_objects: ClassVar[bool] = False  # four images may be put together, and what they show with them
    default_size: ClassVar[tuple[int, str]] = (224, "what most networks were published for")  # of the input; and why
    default_width: ClassVar[tuple[int, str] | None] = None  # of the input, and why; None: it is a square
    takes_mirrored: ClassVar[bool] = True  # whether a mirror image may be learned from; not of text
    takes_published_size: ClassVar[bool] = False  # the default size is that of the weights, where they are published
    default_augment: ClassVar[tuple[str, str]] = ("light", "small moves and light; never mirrors")
    mirrored_by_recipe: ClassVar[bool] = False  # a recipe adds the view of the mirror image, which was measured to help
    measured_by: ClassVar[tuple[str, ...]] = ()  # keys that its metrics depend on: other values, no comparison
    losses_of_mixed_labels: ClassVar[tuple[str, ...]] = ()  # `loss` that take shares of classes; (): it has no choice

    def coarsest_stride(self) -> int:
        """Return what must divide the sides of the input, so that the points of a mirrored map are points again."""
        return 1

    def files(self, weights_folder: Path) -> list[Path]:
        """Return the files that a training reads besides the data and the network's weights, as far as they exist.

        Args:
            weights_folder: where files of weights are looked up.
        """
        return []

    @classmethod
    def missing(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Yield key, value and reason of each default that has one, for what a section leaves out."""
        for key in ("architecture", "backbone"):
            if key in cls.model_fields and key not in written and cls.model_fields[key].default == NETWORK:
                yield key, NETWORK, WHY_NETWORK


NETWORK = "timm:tf_efficientnet_lite0"
WHY_NETWORK = "small, accurate, and as fast on a CPU as any"
NAME_RULE = "lower-case letters, digits, - and _, because it is used for DVC stages, folders and registered models"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description=NAME_RULE)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
