"""The forms in which predictions are written: a table, JSON lines, COCO's result files, pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Protocol, assert_never

import cv2
import numpy as np

from sightline.data.encoding import encode_rle
from sightline.data.export import categories, category_ids
from sightline.data.overlay import grey_heat
from sightline.data.structures import IGNORED, LabelMap, Prediction
from sightline.operations.prediction_files.pictures import draw_prediction
from sightline.operations.prediction_files.sources import ImageFile
from sightline.operations.prediction_files.words import told
from sightline.system.errors import UserError
from sightline.system.files import new_file, new_folder, write_json
from sightline.system.json_text import json_line

Form = Literal["table", "jsonl", "coco", "pictures"]
_TOP = 3  # classes in a line of the table
_DECIMALS = 3  # of COCO's coordinates, pixels


class Writer(Protocol):
    """Takes predictions one by one."""

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Prediction) -> None:
        """Take the prediction for an encoded image of this height and width."""


@contextmanager
def open_writer(form: Form, out: Path | None, labels: LabelMap, least: float) -> Iterator[Writer]:
    """Yield what writes predictions in a form; the results are there when the block ends without error.

    Args:
        form: `table` and `jsonl` go to a file, or where `out` is None to the standard output as they come; `coco` and
            `pictures` make a folder.
        out: the file, or the folder, which must not hold anything yet.
        labels: of the model.
        least: score from which an object is counted in the table and drawn in pictures. Files hold all objects.

    Raises:
        UserError: `out` is missing or taken.
    """
    with ExitStack() as stack:
        match form:
            case "table":
                yield _Table(stack.enter_context(_stream(out)), labels, least)
            case "jsonl":
                yield _Lines(stack.enter_context(_stream(out)), labels)
            case "coco":
                coco = _Coco(stack.enter_context(_folder(form, out)), labels)
                yield coco
                coco.close()
            case "pictures":
                yield _Pictures(stack.enter_context(_folder(form, out)), labels, least)
            case _:
                assert_never(form)


@contextmanager
def _stream(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; give a file")
    with new_file(out) as work, work.open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def _folder(form: Form, out: Path | None) -> Iterator[Path]:
    if out is None:
        raise UserError(f"--to {form}: writes a folder; give one with --out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: exists and is not empty; give a new folder")
    with new_folder(out) as work:
        yield work


class _Table:
    """A line per image: its name and the prediction in a few words, printed as they come."""

    def __init__(self, file: IO[str], labels: LabelMap, least: float) -> None:
        self._file, self._labels, self._least = file, labels, least

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Prediction) -> None:
        words = told(prediction, self._labels, self._least, _TOP)
        self._file.write(f"{file.name:<40}  {words}\n")


class _Lines:
    """A JSON object per image, as the server answers, with the file's name first."""

    def __init__(self, file: IO[str], labels: LabelMap) -> None:
        self._file, self._labels = file, labels

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Prediction) -> None:
        about = {"file": file.name, "height": size[0], "width": size[1]}
        self._file.write(json_line(about | prediction.to_json(self._labels)) + "\n")


class _Coco:
    """`results.json`, a list as COCO's tools take it, and `images.json` with the images and categories it speaks of."""

    def __init__(self, folder: Path, labels: LabelMap) -> None:
        self._folder, self._labels, self._ids = folder, labels, category_ids(labels)
        self._images: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Prediction) -> None:
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file.name, "height": size[0], "width": size[1]})
        self._results += [{"image_id": number} | result for result in self._of(prediction)]

    def _of(self, prediction: Prediction) -> Iterator[dict[str, Any]]:
        if prediction.boxes is not None:
            for place, (left, top, right, bottom) in enumerate(prediction.boxes.astype(float).tolist()):
                label = prediction.box_labels[place] if prediction.box_labels else max(prediction.label, 0)
                edges = (left, top, right - left, bottom - top)
                result = {"category_id": self._ids[label], "bbox": [round(value, _DECIMALS) for value in edges]}
                yield result | {"score": _score(prediction, place)} | _parts(prediction, place)
        elif prediction.keypoints is not None:
            for place in range(len(prediction.keypoints)):
                own = _parts(prediction, place)
                yield {"category_id": self._ids[0], "score": float(prediction.keypoints[place, :, 2].mean())} | own
        elif prediction.semantic is not None:
            for label in np.unique(prediction.semantic).tolist():
                if label != IGNORED and label >= int(bool(self._labels.semantic)):
                    mask = encode_rle(prediction.semantic == label)
                    category = self._ids[label - int(bool(self._labels.semantic))]
                    yield {"category_id": category, "score": 1.0, "segmentation": mask}
        else:
            raise UserError("--to coco: this model does not predict boxes, masks or key points; use --to jsonl")

    def close(self) -> None:
        named = categories(self._labels, self._ids)
        write_json(self._folder / "images.json", {"images": self._images, "annotations": [], "categories": named})
        write_json(self._folder / "results.json", self._results)


def _score(prediction: Prediction, place: int) -> float:
    if prediction.box_scores is not None:
        return float(prediction.box_scores[place])
    return 1.0 if prediction.probabilities is None else float(prediction.probabilities[prediction.label])


def _parts(prediction: Prediction, place: int) -> dict[str, Any]:
    """Return mask, corners and key points of an object, where there are some."""
    parts: dict[str, Any] = {}
    if prediction.corners is not None:
        edges = prediction.corners[place].astype(float).ravel().tolist()
        parts["corners"] = [round(value, _DECIMALS) for value in edges]
    if prediction.instances is not None:
        parts["segmentation"] = prediction.instances[place]
    if prediction.keypoints is not None:
        points = prediction.keypoints[place].astype(float)
        parts["keypoints"] = [round(value, _DECIMALS) for value in points.ravel().tolist()]
    return parts


class _Pictures:
    """A PNG per image with the prediction drawn on it, and a map of classes or heat; or what a model made of it."""

    def __init__(self, folder: Path, labels: LabelMap, least: float) -> None:
        self._folder, self._labels, self._least = folder, labels, least
        self._taken: set[str] = set()

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Prediction) -> None:
        beside = "classes" if prediction.semantic is not None else "heat" if prediction.heat is not None else ""
        path = self._folder / self._free(file.output, beside)
        path.parent.mkdir(parents=True, exist_ok=True)
        if prediction.image is not None:
            _write(path.with_suffix(".png"), prediction.image)
            return
        if prediction.pictures is not None:
            for name, picture in prediction.pictures.items():
                _write(path.with_suffix(f".{name}.png"), picture)
            return
        if prediction.semantic is not None:
            _write(path.with_suffix(".classes.png"), prediction.semantic[..., None])
        if prediction.heat is not None:
            _write(path.with_suffix(".heat.png"), grey_heat(prediction.heat)[..., None])
        _write(path.with_suffix(".png"), draw_prediction(encoded, prediction, self._labels, self._least))

    def _free(self, output: str, beside: str) -> str:
        """Return a name that no other file has: a.jpg and a.png of one folder, or of two, make two pictures.

        Names that differ in case alone are one on macOS and Windows. With a map, NAME.`beside` is a file too.
        """
        wanted = PurePosixPath(output)
        stem = chosen = str(wanted.with_suffix(""))
        number = 1
        while not self._taken.isdisjoint(names := _names(chosen, beside)):
            number += 1
            chosen = f"{stem}-{number}"
        self._taken |= names
        return f"{chosen}{wanted.suffix or '.png'}"


def _names(chosen: str, beside: str) -> set[str]:
    return {chosen.casefold(), *([f"{chosen}.{beside}".casefold()] if beside else [])}


def _write(path: Path, pixels: Any) -> None:
    """Write H x W x C uint8, grey or RGB."""
    content = np.ascontiguousarray(pixels[..., ::-1])
    written, encoded = cv2.imencode(".png", content)
    if not written:
        raise UserError(f"{path}: could not be written as PNG")
    path.write_bytes(encoded.tobytes())
