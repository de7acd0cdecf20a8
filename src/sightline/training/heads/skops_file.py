"""scikit-learn classifiers as bytes, by skops: the same for the same classifier, and read without unpickling."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from sightline.system.errors import UserError, first_line

# Besides what skops trusts by itself: scikit-learn's public classes, NumPy and plain values.
TRUSTED = [
    "sightline.training.heads.dropout.FeatureDropout",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.model_selection._split.StratifiedKFold",
]
_SCHEMA = "schema.json"
_MOVED = {b"sightline.heads.": b"sightline.training.heads."}  # names in files of the first versions
_NUMBERED = re.compile(rb'"__id__": (\d+)|"file": "(\d+)\.')
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a ZIP file can name


def dump(classifier: Any) -> bytes:
    """Return the classifier as a skops file.

    skops numbers objects by their place in memory, and its archive holds the time; here both are always the same.
    """
    import skops.io

    numbers: dict[bytes, bytes] = {}

    def renumbered(match: re.Match[bytes]) -> bytes:
        old = match[1] or match[2]
        new = numbers.setdefault(old, str(len(numbers) + 1).encode())
        return match[0].replace(old, new)

    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(classifier))) as source, zipfile.ZipFile(made, "w") as target:
        schema = _NUMBERED.sub(renumbered, source.read(_SCHEMA))
        files = {}
        for name in source.namelist():
            if name != _SCHEMA:
                number, dot, ending = name.partition(".")
                files[numbers[number.encode()].decode() + dot + ending] = source.read(name)
        for name, content in [*sorted(files.items()), (_SCHEMA, schema)]:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    return made.getvalue()


def load(content: bytes, source: str) -> Any:
    """Return the classifier in a skops file, if it holds nothing but trusted types.

    Raises:
        UserError: it has others, or is not such a file.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(_renamed(content), trusted=TRUSTED)
    except UntrustedTypesFoundException as error:
        first = first_line(error)
        raise UserError(f"{source}: not loaded for safety ({first}); restore it with dvc checkout") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        first = first_line(error)
        raise UserError(f"{source}: not a skops file ({first}); restore it with dvc checkout") from None


def _renamed(content: bytes) -> bytes:
    """Return a skops file with the names that its classes have today."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        schema = source.read(_SCHEMA)
        renamed = schema
        for old, new in _MOVED.items():
            renamed = renamed.replace(old, new)
        if renamed == schema:
            return content
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as target:
            for name in source.namelist():
                target.writestr(name, renamed if name == _SCHEMA else source.read(name))
        return made.getvalue()
