"""Predictions for many files, in shards: each a Parquet file of its own, made by whichever worker there is.

A row has the file's name, the image's height and width, `label` and `confidence` where the model has one answer, the
whole prediction as JSON, and `problem`, which is empty unless the file could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.operations.prediction_files.sources import ImageFile
from sightline.system.errors import UserError
from sightline.system.shards.engines import Engine, run
from sightline.system.shards.work import THREADS, Work

if TYPE_CHECKING:
    from sightline.evaluation.predictor import Predictor
    from sightline.registry.resolving import ResolvedModel

SHARD = 2048  # images
_FUNCTION = "sightline.operations.prediction_files.shards:predict_shard"


def predict_in_shards(
    model: ResolvedModel,
    files: Sequence[ImageFile],
    folder: Path,
    workers: Engine,
    *,
    engine: str = "auto",
    batch_size: int = 32,
    shard: int = SHARD,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, int]:
    """Write the predictions for files to `folder`, as `part-00000.parquet` and so on, in the order of the files.

    Interrupted, it goes on where it was when it is called again with the same arguments. The bytes do not depend on the
    workers, nor on their number.

    Args:
        model: that predicts.
        files: to read; all workers have to see them by the same names.
        folder: of the results, new or left unfinished.
        workers: what does the shards.
        engine: what runs the network, as in `load_predictor`.
        batch_size: images that are predicted together.
        shard: images in each file of results.
        advance: called with the number of images of each shard that is done.

    Returns:
        The number of images, of those among them without a prediction (`problems`), of shards, and of shards that
        were there already (`kept`).

    Raises:
        UserError: the folder holds something else, or a shard cannot be done.
    """
    names = [
        [[str(file.path.absolute()), file.name] for file in files[at : at + shard]]
        for at in range(0, len(files), shard)
    ]
    settings = {
        "model": str(model.folder.absolute()),
        "model_sha256": model.model_sha256,
        "engine": engine,
        "batch_size": batch_size,
    }
    work = Work(_FUNCTION, settings, names, ".parquet")
    kept = run(work, folder, workers, lambda number: advance(len(names[number])))
    return {"images": len(files), "problems": _problems(folder), "shards": len(names), "kept": kept}


def _problems(folder: Path) -> int:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    table = ds.dataset(folder, format="parquet").to_table(columns=["problem"])
    return int(pc.sum(pc.not_equal(table["problem"], "")).as_py() or 0)


def problems_of(folder: Path, most: int) -> list[tuple[str, str]]:
    """Return name and reason of the first files without a prediction."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    found = ds.dataset(folder, format="parquet").head(
        most, columns=["file", "problem"], filter=pc.field("problem") != ""
    )
    return [(row["file"], row["problem"]) for row in found.to_pylist()]


def predict_shard(settings: Mapping[str, Any], shard: Sequence[Sequence[str]], path: Path) -> None:
    """Predict the files of a shard, each a path and a name, and write a row for each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sightline.operations.prediction_files.run import predict_files

    predictor = _loaded(settings["model"], settings["model_sha256"], settings["engine"])
    files = [ImageFile(Path(place), name, name) for place, name in shard]
    rows = _Rows(predictor)
    finished = predict_files(predictor, files, rows, settings["batch_size"])
    problems = dict(finished.bad)
    made = [rows.made.get(file.name) or _no_row(file.name, problems[file.name]) for file in files]
    schema = pa.schema(
        [
            pa.field("file", pa.string()),
            pa.field("height", pa.int32()),
            pa.field("width", pa.int32()),
            pa.field("label", pa.string()),
            pa.field("confidence", pa.float32()),
            pa.field("prediction", pa.string()),
            pa.field("problem", pa.string()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(made, schema=schema), path, compression="zstd")


@cache
def _loaded(folder: str, sha256: str, engine: Any) -> Predictor:
    """Return a model, which a worker loads once."""
    import hashlib

    import torch

    from sightline.evaluation.predictor import load_predictor

    found = Path(folder, "model.json")
    if not found.is_file() or hashlib.sha256(found.read_bytes()).hexdigest() != sha256:
        raise UserError(f"{folder}: is not there, or another model than where this was started")
    torch.set_num_threads(THREADS)
    return load_predictor(Path(folder), "cpu", engine, THREADS)


class _Rows:
    """Takes predictions as rows, by the file's name."""

    def __init__(self, predictor: Predictor) -> None:
        self.labels = predictor.card.labels
        self.made: dict[str, dict[str, Any]] = {}

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Any) -> None:
        from sightline.system.json_text import json_bytes

        told = prediction.to_json(self.labels)
        self.made[file.name] = {
            "file": file.name,
            "height": size[0],
            "width": size[1],
            "label": told.get("label"),
            "confidence": told.get("confidence"),
            "prediction": json_bytes(told).decode(),
            "problem": "",
        }


def _no_row(name: str, problem: str) -> dict[str, Any]:
    return {"file": name, "problem": problem}
