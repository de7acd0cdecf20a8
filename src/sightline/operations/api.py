"""The pipeline's steps as functions, for notebooks and other programs; `params.yaml`, DVC and MLflow are not needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from sightline.config.base import Section
from sightline.config.errors import ConfigError, mistakes
from sightline.system.errors import UserError

if TYPE_CHECKING:
    from sightline.data.raw.card import Card
    from sightline.evaluation.predictor import Engine, Predictor
    from sightline.training.fit import Fitted

S = TypeVar("S", bound=Section)
Files = str | Path | bytes | Sequence[str | Path | bytes]


def prepare(root: str | Path, to: str | Path, format: str = "image_folder", **options: Any) -> Card:  # noqa: A002
    """Check raw images and divide them into train, val and test, as the stage `prepare` does.

    Args:
        root: folder of the raw files.
        to: the folder to write, `data/prepared/NAME` in a project; what was there is replaced.
        format: of the files: `image_folder`, `csv`, `coco`, `voc`, `yolo`, ... (docs/data.md).
        **options: further keys of a section of `datasets:`.

    Returns:
        What the data set holds: `samples` and `counts` per split, `classes`, `quarantined`, `findings`.

    Raises:
        UserError: the files cannot be used as they are, or an option does not exist.

    >>> import sightline
    >>> card = sightline.prepare("data/embedded", "prepared/digits", format="digits")
    >>> card.samples
    {'train': 1258, 'val': 270, 'test': 269}
    """
    from sightline.config.datasets import Dataset
    from sightline.data.raw.preparation import prepare as prepare_files

    class Data(Section):
        dataset: Dataset

    checked = _checked(Data, {"dataset": {"format": format, "root": str(root), **options}}, "prepare")
    return prepare_files(Path(to).name, checked.dataset, Path(to))


def train(
    prepared: str | Path,
    to: str | Path,
    task: str | Mapping[str, Any] = "classification",
    seed: int = 0,
    **options: Any,
) -> Fitted:
    """Train a model on prepared data and write its directory, as the stage `train` does.

    Args:
        prepared: folder that `prepare` wrote.
        to: the model directory to write.
        task: a kind, or a section `task` of a model.
        seed: of weights, order, augmentation and dropout.
        **options: further keys of a section of `models:`: `weights`, `recipe`, `input`, `augment`, `optimizer`,
            `schedule`, `trainer`, `ladder`, `crop_by` (a model of the folder `models`). What is left out has the same
            defaults as there.

    Returns:
        `curves`, a row per epoch; `best_epoch`; `card`, what `model.json` says.

    Raises:
        UserError: options that do not exist, or that do not fit the data or the network.

    >>> import sightline
    >>> fitted = sightline.train(
    ...     "prepared/digits",
    ...     "models/digits",
    ...     task={"kind": "classification", "architecture": "mlp"},
    ...     input={"size": 8, "channels": 1},
    ...     augment="none",
    ...     trainer={"max_epochs": 5},
    ... )  # doctest: +ELLIPSIS
    epoch   1/5 ...
    >>> fitted.curves[-1]["val_accuracy"] > 0.8
    True
    """
    from sightline.config.models import Model
    from sightline.training.ladder.climb import train_model

    section = _checked(Model, {"dataset": Path(prepared).name, "task": task, **options}, "train")
    return train_model(section, seed, Path(prepared), Path(to))


def evaluate(
    model: str | Path, prepared: str | Path, to: str | Path, headline: str | None = None, **options: Any
) -> dict[str, Any]:
    """Measure a model on the test split, with intervals, as the stage `evaluate` does.

    Args:
        model: a model directory.
        prepared: folder that `prepare` wrote.
        to: the folder to write: `metrics.json`, `predictions.parquet` with a row per image, tables, pictures.
        headline: the metric that is reported first; None: that of the kind of task.
        **options: further keys of `evaluation:`, such as `resamples`.

    Returns:
        The values of `metrics.json`.

    Raises:
        UserError: the model's classes are not those of the data, or an option does not exist.

    >>> import sightline
    >>> metrics = sightline.evaluate("models/digits", "prepared/digits", "reports/digits", resamples=200)
    >>> metrics["headline"]["name"], metrics["samples"]
    ('accuracy', 269)
    """
    from sightline.config.evaluation import Evaluation
    from sightline.evaluation.evaluate import evaluate_model
    from sightline.evaluation.report import draw_evaluation
    from sightline.system.files import new_folder

    settings = _checked(Evaluation, options, "evaluate")
    with new_folder(Path(to)) as folder:
        metrics = evaluate_model(Path(model), Path(prepared), settings, folder, headline)
        predictor = load(model)
        draw_evaluation(folder, Path(prepared), None, predictor.predictions, predictor.task.styles)
    return metrics


def load(model: str | Path, device: str = "cpu", engine: Engine = "auto") -> Predictor:
    """Load a model: a directory, or a registered one of the project in this folder, such as `digit-cnn@champion`.

    Args:
        model: a model directory, NAME, NAME@champion, NAME/3.
        device: of torch: `cpu`, `cuda`, `cuda:1`, `mps`.
        engine: what runs it: `torch`; `onnx`; `int8`, its 8-bit integers (docs/deployment.md); or `auto`.

    Raises:
        UserError: there is no such model, or it is damaged, or it has no such file.

    >>> import sightline
    >>> sightline.load("models/digits").card.labels.classes[:3]
    ('0', '1', '2')
    """
    from sightline.evaluation.predictor import load_predictor
    from sightline.registry.resolving import resolve_model

    return load_predictor(resolve_model(str(model), Path()).folder, device, engine)


def predict(model: str | Path | Predictor, images: Files) -> list[dict[str, Any]]:
    """Return the prediction for each image, as plain values with class names.

    Args:
        model: as for `load`, or what it returned: load once where you predict often.
        images: files, or the bytes of encoded images (JPEG, PNG, ...); one or several.

    Raises:
        UserError: there is no such model or file.
        ValueError: an image is not readable.

    >>> import sightline
    >>> [found] = sightline.predict("models/digits", "prepared/digits/samples.png")
    >>> sorted(found)
    ['confidence', 'label', 'label_id', 'probabilities']
    """
    several = [images] if isinstance(images, str | Path | bytes) else images
    encoded = [image if isinstance(image, bytes) else _bytes(Path(image)) for image in several]
    return (load(model) if isinstance(model, str | Path) else model).predict(encoded)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _checked(schema: type[S], values: dict[str, Any], function: str) -> S:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError(mistakes(error, schema, values, values, f"sightline.{function}")) from None
