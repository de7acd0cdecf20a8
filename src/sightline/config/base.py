"""What every section of the schema has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A mapping in `params.yaml`: unknown keys and silent type conversions are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


NAME_RULE = "lower-case letters, digits, - and _, as it names DVC stages, folders and registered models"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description=NAME_RULE)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
