"""All values of a way from images to features, and the file that holds them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sightline.config.features import Extractor, Views
from sightline.config.models import Input
from sightline.system.errors import UserError, first_line
from sightline.system.files import read_json

FORMAT_VERSION = 1
SETTINGS = "extractor.json"


@dataclass(frozen=True)
class Settings:
    """All settings from images to features; what is learned is in files next to them.

    Attributes:
        extractor: the section `extractor` of the features.
        input: what it sees.
        normalize, views: as in the section.
        seed: of random weights, clusters and copies.
        outputs: classes of the last layer of a network out of a library; 0 for the others.
    """

    extractor: Extractor
    input: Input
    normalize: list[Any]
    views: Views
    seed: int
    outputs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        views = self.views if isinstance(self.views, str) else self.views.model_dump()
        return {
            "extractor": self.extractor.model_dump(),
            "input": self.input.to_json(),
            "normalize": self.normalize,
            "views": views,
            "seed": self.seed,
            "outputs": self.outputs,
        }


def read_settings(folder: Path) -> Settings:
    """Read what `FeatureMap.write` wrote, checking the files next to it against their hashes.

    Raises:
        UserError: missing, damaged, or of another format.
    """
    path = folder / SETTINGS
    try:
        values = read_json(path)
        if values.pop("format_version") != FORMAT_VERSION:
            raise UserError(f"{path}: written by another version of Sightline; run dvc repro")
        files = values.pop("files")
        section = {key: values[key] for key in ("extractor", "input", "normalize", "views")}
        extractor: Extractor = TypeAdapter(Extractor).validate_python(section["extractor"])
        views = TypeAdapter(Views).validate_python(section["views"])
        image = Input.model_validate(section["input"])
        settings = Settings(extractor, image, section["normalize"], views, values["seed"], values["outputs"])
    except FileNotFoundError:
        raise UserError(f"{folder}: contains no extractor ({SETTINGS} is missing); run dvc repro") from None
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        first = first_line(error)
        raise UserError(f"{path}: damaged or changed by hand ({first}); restore it with dvc checkout") from None
    for name, sha256 in files.items():
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise UserError(f"{file}: does not match {SETTINGS} (different hash); restore it with dvc checkout")
    return settings
