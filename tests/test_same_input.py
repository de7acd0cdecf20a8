"""What a network sees is the same wherever images are decoded: training, evaluation, prediction, serving, drift."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.config.models import Input, Model
from sightline.data.cache import decoded, raw_pixels
from sightline.data.images import Placement
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.evaluation.predictor import load_predictor
from sightline.operations.drift.images import reference_images
from sightline.operations.drift.observers import Observer
from sightline.operations.drift.seen import look
from sightline.operations.prediction_files.run import predict_files
from sightline.operations.prediction_files.sources import ImageFile
from sightline.operations.serve.limits import Upload
from sightline.operations.serve.served_model import load_served
from sightline.training.fit import train

SOURCE = Path(__file__).parents[1] / "src/sightline"
TAKING = ("fit", "decoded", "raw_pixels", "PreparedData")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TAKING:
            yield node


def test_no_call_forgets_the_interpolation() -> None:
    """Wherever an input's `resize` goes, its interpolation goes too."""
    found = 0
    for path in SOURCE.rglob("*.py"):
        for call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            given = [ast.unparse(one) for one in (*call.args, *(word.value for word in call.keywords))]
            if any(one == "resize" or one.endswith(".resize") for one in given):
                found += 1
                assert any(one.endswith("interpolation") for one in given), f"{path}:{call.lineno}"
    assert found >= 9


class Recorder(Observer):
    """Keeps what drift would look at."""

    title = "recorder"

    def __init__(self, image: Input) -> None:
        self.input, self.seen = image, np.empty(0, np.uint8)

    def __call__(self, pixels: UINT8, placements: Sequence[Placement]) -> tuple[FLOAT32, list[Prediction]]:
        self.seen = pixels
        return np.zeros((len(pixels), 1), np.float32), []


class Collector:
    """Takes predictions of files."""

    def __init__(self) -> None:
        self.taken: list[Prediction] = []

    def add(self, file: ImageFile, encoded: bytes, size: tuple[int, int], prediction: Prediction) -> None:
        self.taken.append(prediction)


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bicubic")
    values = {
        "dataset": "digits",
        "task": {"kind": "classification", "architecture": "mlp"},
        "weights": "random",
        "augment": "none",
        "input": {"size": 20, "channels": 1, "interpolation": "bicubic"},
        "trainer": {"max_epochs": 1},
    }
    train(Model.model_validate(values), 1, digits, folder / "model", resume_root=folder / "resume")
    return folder / "model"


def chances(predictions: Sequence[Prediction]) -> FLOAT32:
    return np.stack([np.asarray(one.probabilities, np.float32) for one in predictions])


def test_every_way_in_sees_the_same(digits: Path, model: Path, tmp_path: Path) -> None:
    store = SplitStore(digits / "val")
    encoded = [bytes(store.image(index)) for index in range(12)]
    learned = raw_pixels(store, 20, 1, "letterbox", tmp_path, interpolation="bicubic")[:12]
    assert (raw_pixels(store, 20, 1, "letterbox", tmp_path)[:12] != learned).mean() > 0.1
    plain = load_predictor(model, engine="torch")
    assert plain.card.input.interpolation == "bicubic"
    with torch.inference_mode():
        expected = plain.task(torch.from_numpy(learned.copy())).softmax(1).numpy()

    np.testing.assert_allclose(chances(plain.predictions(encoded)), expected, atol=1e-6)
    np.testing.assert_allclose(chances(load_predictor(model, engine="onnx").predictions(encoded)), expected, atol=1e-5)

    served = load_served(model, "model", "")
    inputs = [served.decode(Upload("one", one, 64)) for one in encoded]
    np.testing.assert_array_equal(np.stack([pixels for pixels, _ in inputs]), learned)

    collector, files = Collector(), []
    for number, one in enumerate(encoded):
        files.append(ImageFile(tmp_path / f"{number}.png", str(number), str(number)))
        files[-1].path.write_bytes(one)
    predict_files(plain, files, collector, 5)
    np.testing.assert_allclose(chances(collector.taken), expected, atol=1e-6)

    recorder = Recorder(plain.card.input)
    images = reference_images(digits, len(store), 0)
    look(images, recorder)
    last = [fit_of(images.read(number)) for number in range(len(images) - len(recorder.seen), len(images))]
    np.testing.assert_array_equal(recorder.seen, np.stack(last))


def fit_of(encoded: bytes | memoryview) -> UINT8:
    pixels, _ = decoded([encoded], 20, 1, "letterbox", "bicubic")
    return pixels[0]
