"""`models.*.crop_by:` a detector of this file that looks first; the model sees what it found, cut out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sightline.config.base import Fraction, Name, Section
from sightline.config.tasks import kinds
from sightline.config.weights import OwnModel
from sightline.system.errors import nearest

if TYPE_CHECKING:
    from sightline.config.augmentations import Augmentation
    from sightline.config.features import Features
    from sightline.config.models import Model


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) and value != "any" else value


_Classes = Literal["any"] | Annotated[list[str], Field(min_length=1)]


class CropBy(Section):
    """A detector that is trained first; images are cropped to its most confident box (docs/chains.md)."""

    model: Name = Field(description="a model of this file that finds boxes")
    classes: Annotated[_Classes, BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = Field(
        "any", description="of the detector whose boxes count: any, a name, or a list of names"
    )
    margin: Annotated[float, Field(ge=0, le=2)] = Field(
        0.1, description="added on each side of the box, as a share of its longer side"
    )
    least_score: Fraction = Field(0.3, description="boxes with a lower confidence do not count")
    otherwise: Literal["whole_image", "refuse"] = Field(
        "whole_image", description="what becomes of an image without such a box; refuse: it gets no answer"
    )


def as_crop_by(value: Any) -> Any:
    """Return `crop_by: NAME` as the mapping that it stands for."""
    return {"model": value} if isinstance(value, str) else value


MaybeCropBy = Annotated[
    CropBy | None, BeforeValidator(as_crop_by, json_schema_input_type=str | CropBy | None)
]  # annotations name this: to name the section itself would be to have one (docs/stamps.md)


def find_crop_mistakes(
    models: Mapping[str, Model], features: Mapping[str, Features], augmentations: Mapping[str, Augmentation]
) -> list[str]:
    """Return one line per error of the sections `crop_by`, without the file's name."""
    told = [
        line
        for name, model in models.items()
        if model.crop_by is not None
        for line in _of_model(f"models.{name}", name, model, model.crop_by, models, augmentations)
    ]
    for name, section in features.items():
        own = section.model()
        if own is not None and own in models and models[own].crop_by is not None:
            told.append(
                f"features.{name}.weights.model: {own} looks at crops (crop_by), and features at whole images; "
                "use a model without crop_by"
            )
    return told


def _of_model(
    path: str,
    name: str,
    model: Model,
    crop: CropBy,
    models: Mapping[str, Model],
    augmentations: Mapping[str, Augmentation],
) -> Iterator[str]:
    if not model.task.takes_crops:
        suits = ", ".join(kind for kind, own in kinds().items() if own.takes_crops)
        yield f"{path}.crop_by: is for {suits}, but task.kind is {model.task.kind}; leave crop_by out"
    policy = augmentations.get(model.augment)
    if policy is not None and policy.copies:
        yield (
            f"{path}.augment: {model.augment} has copies, which are of whole images, and crop_by cuts; "
            f"set augmentations.{model.augment}.copies: 0"
        )
    finders = [other for other, one in models.items() if one.task.finds_boxes and other != name]
    there = f" ({', '.join(finders) or 'there are none'})"
    if crop.model == name:
        yield f"{path}.crop_by.model: {name} is this model itself; name one that finds boxes{there}"
    elif crop.model not in models:
        near = nearest(crop.model, finders, otherwise=there)
        yield f"{path}.crop_by.model: {crop.model!r} is not among models{near}"
    elif not models[crop.model].task.finds_boxes:
        kind = models[crop.model].task.kind
        yield f"{path}.crop_by.model: {crop.model}: its kind, {kind}, finds no boxes; name a model that does{there}"
    else:
        yield from _in_a_circle(path, name, crop.model, models)


def _in_a_circle(path: str, name: str, detector: str, models: Mapping[str, Model]) -> Iterator[str]:
    """Yield a line if the detector needs this model first, by its weights or by crops, itself or in between."""
    ways, seen = [[name, detector]], {detector}
    while ways:
        way = ways.pop()
        for before in _needed(models[way[-1]]):
            if before == name:
                cycle = " <- ".join([*way, name])
                yield f"{path}.crop_by.model: {cycle}: a cycle; start {way[-1]} from other weights"
                return
            if before in models and before not in seen:
                seen.add(before)
                ways.append([*way, before])


def _needed(model: Model) -> list[str]:
    """Return the models that are trained before a model."""
    weights = [model.weights.model] if isinstance(model.weights, OwnModel) else []
    return weights + ([] if model.crop_by is None else [model.crop_by.model])
