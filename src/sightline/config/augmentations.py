"""`augmentations:` named policies, by which training images vary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field

from sightline.config.base import Fraction, Positive, Section
from sightline.system.errors import UserError

ReadyPolicy = Literal[
    "none", "strip", "light", "medium", "heavy", "trivial", "light_mirrored", "trivial_mirrored", "alexnet", "tencrop"
]
READY_POLICIES: tuple[ReadyPolicy, ...] = get_args(ReadyPolicy)
MIRRORING_POLICIES: tuple[ReadyPolicy, ...] = ("light_mirrored", "trivial_mirrored", "alexnet", "tencrop")
Entry: TypeAlias = dict[str, dict[str, Any]]  # name of a transform -> its arguments
Policy: TypeAlias = ReadyPolicy | list[Entry]


class MixUp(Section):
    """Weighted means of two images and of their labels (Zhang et al. 2018)."""

    alpha: Positive = Field(0.2, description="the weight is drawn from Beta(alpha, alpha); small values mix little")
    p: Fraction = Field(0.5, description="share of the batches that are mixed")


class CutMix(Section):
    """A rectangle of one image on another, with labels by area (Yun et al. 2019)."""

    alpha: Positive = Field(1.0, description="the area is drawn from Beta(alpha, alpha)")
    p: Fraction = Field(0.5, description="share of the batches that are mixed")


class Mosaic(Section):
    """Parts of four images around a point, with their annotations (Bochkovskiy et al. 2020)."""

    p: Fraction = Field(0.5, description="share of the batches that are mixed")


Mixing: TypeAlias = MixUp | CutMix | Mosaic
MixingName = Literal["MixUp", "CutMix", "Mosaic"]
MIXING_NAMES: tuple[MixingName, ...] = get_args(MixingName)


class Augmentation(Section):
    """How the training images of a data set vary."""

    dataset: str = Field(description="a key of datasets")
    policy: ReadyPolicy | Annotated[list[Any], Field(min_length=1)] = Field(
        description=f"{', '.join(READY_POLICIES)}, or a list of transforms of Albumentations with their arguments"
    )
    copies: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="variants of every training image, made once; training uses them instead of drawing new ones"
    )
    max_lost_boxes: Fraction = Field(
        0.1, description="share of boxes that leave the image above which there is a warning"
    )


def mixing_of(name: MixingName) -> type[Mixing]:
    """Return the schema of a kind of mixing."""
    match name:
        case "MixUp":
            return MixUp
        case "CutMix":
            return CutMix
        case "Mosaic":
            return Mosaic


def divide_policy(policy: Policy) -> tuple[ReadyPolicy | list[Entry], list[Mixing]]:
    """Return the transforms of single images and the mixing of batches that a checked policy holds."""
    if isinstance(policy, str):
        return policy, []
    transforms = [entry for entry in policy if not set(entry) & set(MIXING_NAMES)]
    mixing = [mixing_of(name).model_validate(entry[name]) for entry in policy for name in MIXING_NAMES if name in entry]
    return transforms, mixing


def chosen_policy(augment: str, section: Augmentation | None) -> Policy:
    """Return the policy that `models.*.augment` names.

    Args:
        augment: a ready-made policy or a key of `augmentations`.
        section: what that key stands for; None if it is a ready-made policy.

    Raises:
        UserError: neither of the two.
    """
    if section is not None:
        return section.policy
    ready = [name for name in READY_POLICIES if name == augment]
    if not ready:
        raise UserError(
            f"augment: {augment!r} is not one of {', '.join(READY_POLICIES)}, and augmentations has no such entry"
        )
    return ready[0]


def copies_folder(augment: str, section: Augmentation | None, augmented: Path) -> Path | None:
    """Return where the copies of training samples are, below the folder `data/augmented`; None without any."""
    return augmented / augment / "copies" if section is not None and section.copies else None
