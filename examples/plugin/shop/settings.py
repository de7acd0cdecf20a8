"""What params.yaml may say of them; imported with every command, so nothing slow is imported here."""

from typing import ClassVar, Literal

from pydantic import Field

from sightline.config.own import OwnFormat, OwnMetric, OwnTask


class Counting(OwnTask):
    """How many objects there are in an image."""

    kind: Literal["counting"]
    architecture: str = Field("timm:test_resnet", description="torchvision:NAME or timm:NAME")

    builder: ClassVar[str] = "shop.counting:build_counting"
    metrics: ClassVar[tuple[str, ...]] = ("exact", "mean_difference")
    errors: ClassVar[tuple[str, ...]] = ("mean_difference",)


class ListFile(OwnFormat):
    """Images and their classes by a text file with lines such as `photos/1.jpg rose`."""

    format: Literal["list_file"]
    file: str = Field("list.txt", description="the text file, below root")

    opener: ClassVar[str] = "shop.list_file:open_list"
    example: ClassVar[str] = "shop.list_file:write_example"


WITHIN_ONE = OwnMetric(kinds=("counting",), function="shop.counting:within_one")
