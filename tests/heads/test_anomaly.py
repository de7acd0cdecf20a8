"""Heads that find defects, on the embedded ones: fitted, loaded, evaluated, drawn, served, and what they refuse."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from sightline.config import ConfigError, load_params
from sightline.config.anomaly import AnomalyHead
from sightline.config.evaluation import Evaluation
from sightline.config.features import Features
from sightline.data.encoding import encode_png
from sightline.data.images import place
from sightline.data.store import SplitStore, load_labels
from sightline.evaluation.evaluate import evaluate_model, with_intervals
from sightline.evaluation.predictor import Predictor, load_predictor
from sightline.evaluation.report import draw_evaluation
from sightline.operations.drift.images import reference_images
from sightline.operations.drift.observers import ModelObserver
from sightline.operations.drift.seen import look
from sightline.operations.pages.next_steps import next_steps
from sightline.operations.pages.weak_spots import WeakSpots
from sightline.operations.prediction_files.pictures import draw_prediction
from sightline.operations.prediction_files.sources import ImageFile
from sightline.operations.prediction_files.writers import open_writer
from sightline.operations.serve.served_model import Options, load_served
from sightline.system.errors import UserError
from sightline.tasks.base import Measurement
from sightline.tasks.metrics.anomaly import Seen, measurement
from sightline.training.features.building import build_features
from sightline.training.features.embedding import embed
from sightline.training.features.store import read_feature_card
from sightline.training.heads.anomaly.fitting import fit_detector, flat_settings, told
from sightline.training.heads.making import make_head

TEXTURE = {
    "dataset": "defects",
    "input": {"size": 64, "channels": 3},
    "extractor": {"kind": "gabor", "wavelengths": [4.0], "orientations": 4, "grid": 16, "statistics": True},
}
KINDS = ("patch_core", "padim")


def section(kind: str, **options: Any) -> AnomalyHead:
    own: AnomalyHead = TypeAdapter(AnomalyHead).validate_python(
        {"dataset": "defects", "features": "texture", "kind": kind, **options}
    )
    return own


@pytest.fixture(scope="module")
def features(defects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "texture"
    embed(build_features(Features.model_validate(TEXTURE), 0), defects, folder)
    return folder


@pytest.fixture(scope="module")
def models(defects: Path, features: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {kind: tmp_path_factory.mktemp("models") / kind for kind in KINDS}
    for kind, folder in folders.items():
        fit_detector(section(kind, blur=2.0), ["gabor"], 0, features, defects, folder)
    return folders


def test_features_of_places_are_marked_as_such(features: Path) -> None:
    card = read_feature_card(features)
    assert card.maps == {"gabor": (4 + 6, 16, 16)}
    assert card.dimensions == {"gabor": 10 * 16 * 16}


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_embedded_defects_and_where_they_are(
    kind: str, models: dict[str, Path], defects: Path, tmp_path: Path
) -> None:
    metrics = evaluate_model(models[kind], defects, Evaluation(resamples=200), tmp_path)
    assert metrics["headline"]["name"] == "auroc"
    assert metrics["auroc"] > 0.85
    assert metrics["pixel_auroc"] > 0.85
    assert metrics["pro"] > 0.5
    assert set(metrics["interval"]) == {"auroc", "pixel_auroc", "pro", "false_alarms", "missed"}
    rows = pd.read_parquet(tmp_path / "predictions.parquet")
    worst = rows.loc[rows["score"].idxmin()]
    assert worst["flagged"] != worst["anomalous"] or metrics["missed"] + metrics["false_alarms"] == 0
    predictor = load_predictor(models[kind])
    draw_evaluation(tmp_path, defects, None, predictor.predictions)
    assert {path.stem for path in tmp_path.glob("*.png")} >= {"worst", "quality", "roc", "scores", "per_class"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_features_give_the_same_bytes(
    kind: str, models: dict[str, Path], features: Path, defects: Path, tmp_path: Path
) -> None:
    fit_detector(section(kind, blur=2.0), ["gabor"], 0, features, defects, tmp_path / "again")
    files = [path.relative_to(models[kind]) for path in sorted(models[kind].rglob("*")) if path.is_file()]
    assert [str(file) for file in files] == ["extractor/extractor.json", "head.safetensors", "model.json"]
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (models[kind] / file).read_bytes()


def images_of(defects: Path) -> tuple[list[memoryview], list[int]]:
    test = SplitStore(defects / "test")
    return [test.image(index) for index in range(len(test))], test.labels.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_is_a_score_and_a_heat_map_of_the_originals_size(
    kind: str, models: dict[str, Path], defects: Path
) -> None:
    predictor = load_predictor(models[kind])
    images, labels = images_of(defects)
    found = predictor.predictions(images)
    assert all(own.heat is not None and own.heat.shape == (64, 64) for own in found)
    score = np.array([own.anomaly for own in found])
    assert np.mean((score > 1) == (np.array(labels) > 0)) > 0.75
    plain = predictor.predict(images[:1])[0]
    assert set(plain) == {"score", "is_anomaly", "defective_pixels"}
    json.dumps(plain, allow_nan=False)
    large = np.zeros((90, 120, 3), np.uint8)
    [other] = predictor.predictions([encode_png(large)])
    assert other.heat is not None
    assert other.heat.shape == (90, 120)
    with pytest.raises(UserError, match=r"engine onnx: this model has no model\.onnx"):
        load_predictor(models[kind], engine="onnx")


def test_one_image_alone_is_scored_as_among_others(models: dict[str, Path], defects: Path) -> None:
    images, _ = images_of(defects)
    for folder in models.values():
        predictor = load_predictor(folder)
        together = [own.anomaly for own in predictor.predictions(images[:5])]
        alone = [predictor.predictions([image])[0].anomaly for image in images[:5]]
        assert together == pytest.approx(alone, rel=1e-4)


def test_neither_test_images_nor_defects_teach_it(
    models: dict[str, Path], features: Path, defects: Path, tmp_path: Path
) -> None:
    alone, prepared = tmp_path / "texture", tmp_path / "defects"
    shutil.copytree(features, alone)
    (alone / "test.arrow").unlink()
    prepared.mkdir()
    shutil.copy(defects / "labels.json", prepared)
    card, fitted = fit_detector(section("padim", blur=2.0), ["gabor"], 0, alone, prepared, tmp_path / "model")
    assert (tmp_path / "model/head.safetensors").read_bytes() == (models["padim"] / "head.safetensors").read_bytes()
    val = SplitStore(defects / "val")
    assert fitted.threshold.images == int((val.labels == 0).sum()) < len(val)
    assert flat_settings(section("padim"), card, fitted)["chosen.threshold"] == fitted.threshold.value


def test_the_threshold_is_of_good_validation_images(models: dict[str, Path], defects: Path) -> None:
    val = SplitStore(defects / "val")
    for kind, folder in models.items():
        predictor: Predictor = load_predictor(folder)
        found = predictor.predictions([val.image(index) for index in range(len(val))])
        good = [own.anomaly for own, label in zip(found, val.labels, strict=True) if label == 0]
        assert max(filter(None, good)) == pytest.approx(1, rel=1e-4), f"{kind}: too few images for 5 %: the largest"


def test_images_of_other_classes_are_left_out_and_told(features: Path, defects: Path, tmp_path: Path) -> None:
    """A class of defects stands for the good one: all others of train are left out, and there is nothing to learn."""
    _, fitted = fit_detector(section("patch_core", coreset=0.02), ["gabor"], 0, features, defects, tmp_path / "model")
    line = told(fitted, 0.05)
    assert "left out" not in line
    assert "needs at least 19 of them" in line
    with pytest.raises(UserError, match="the train split has no image of the class 'hole'"):
        fit_detector(section("padim", good="hole"), ["gabor"], 0, features, defects, tmp_path / "hole")
    with pytest.raises(UserError, match=r"good: 'god': .* has no such class \(did you mean good\?\)"):
        fit_detector(section("padim", good="god"), ["gabor"], 0, features, defects, tmp_path / "god")
    assert not (tmp_path / "god").exists()


def test_a_mixed_train_split_learns_from_its_good_images(tmp_path: Path, defects: Path) -> None:
    """Test images as train images: half of them are defective, and are left out."""
    mixed = tmp_path / "prepared"
    shutil.copytree(defects, mixed)
    shutil.rmtree(mixed / "train")
    shutil.copytree(mixed / "test", mixed / "train")
    folder = tmp_path / "texture"
    embed(build_features(Features.model_validate(TEXTURE), 0), mixed, folder)
    line = make_head(section("padim"), ["gabor"], 0, folder, mixed, tmp_path / "model", tmp_path / "report", False)
    wrong = int((SplitStore(mixed / "train").labels > 0).sum())
    assert f"left out {wrong} train images that are not good: scratch " in line
    assert json.loads((tmp_path / "report/training.json").read_text())["left_out"] == wrong


def test_features_of_whole_images_are_refused(defects: Path, tmp_path: Path) -> None:
    values = {**TEXTURE, "input": {"size": 16, "channels": 1}, "extractor": {"kind": "pixels"}}
    embed(build_features(Features.model_validate(values), 0), defects, tmp_path / "pixels")
    with pytest.raises(UserError, match="layer pixels has no features of single places"):
        fit_detector(section("padim"), ["pixels"], 0, tmp_path / "pixels", defects, tmp_path / "model")
    with pytest.raises(UserError, match="has no layer pixel"):
        fit_detector(section("padim"), ["pixel"], 0, tmp_path / "pixels", defects, tmp_path / "model")


PARAMS = """
datasets: {{defects: {{format: defects, root: data/embedded}}}}
features: {{texture: {{dataset: defects, input: {{size: 64}}, {features}}}}}
heads: {{finder: {{dataset: defects, features: texture, kind: padim}}}}
"""


@pytest.mark.parametrize(
    ("features", "wrong"),
    [
        ("extractor: {kind: gabor, grid: 16}", ""),
        (
            "weights: random, extractor: {kind: network, architecture: 'timm:test_resnet', layers: [a], pyramid: [28]}",
            "",
        ),
        (
            "weights: random, extractor: {kind: network, architecture: 'timm:test_resnet', layers: [a]}",
            "extractor: averages over the whole image; set pooling: flatten",
        ),
        ("extractor: {kind: hog}", "extractor.kind: hog has none; use network, model or gabor"),
        ("extractor: {kind: gabor}, normalize: [l2]", "normalize is for one vector per image; leave it out"),
        ("extractor: {kind: gabor}, views: tencrop", "views: places of different views are not the same"),
    ],
)
def test_features_that_do_not_fit_are_told_before_anything_runs(tmp_path: Path, features: str, wrong: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.format(features=features))
    if not wrong:
        assert load_params(path, policies=False).kinds() == {"finder": "anomaly"}
        return
    with pytest.raises(ConfigError) as error:
        load_params(path, policies=False)
    assert error.value.lines[0].startswith(
        f"{path}: heads.finder.features: needs features of single places: features.texture.{wrong}"
    )


def test_maps_of_a_network_are_cut_to_a_grid(defects: Path, tmp_path: Path) -> None:
    values = {
        "dataset": "defects",
        "weights": "random",
        "input": {"size": 64, "channels": 3},
        "extractor": {"kind": "network", "architecture": "timm:test_resnet", "layers": ["layer1", "layer2"]},
    }
    shapes = {}
    for how in ({"pooling": "flatten"}, {"pyramid": [4]}, {}):
        values["extractor"] = {**values["extractor"], "pooling": "avg", "pyramid": [1], **how}  # type: ignore[dict-item]
        made = build_features(Features.model_validate(values), 0)
        shapes[next(iter(how), "")] = dict(made.maps)
        for name, shape in made.maps.items():
            assert made.dimensions[name] == np.prod(shape)
    assert shapes[""] == {}
    assert {shape[1:] for shape in shapes["pyramid"].values()} == {(4, 4)}
    assert shapes["pooling"]["layer1"][1] == 2 * shapes["pooling"]["layer2"][1]


def test_pictures_files_and_the_server_show_the_heat_map(
    models: dict[str, Path], defects: Path, tmp_path: Path
) -> None:
    images, _ = images_of(defects)
    predictor, labels = load_predictor(models["padim"]), load_labels(defects)
    [said] = predictor.predictions(images[:1])
    drawn = draw_prediction(bytes(images[0]), said, labels, 0.5)
    plain = draw_prediction(bytes(images[0]), type(said)(anomaly=said.anomaly), labels, 0.5)
    assert drawn.shape == plain.shape
    assert (drawn != plain).mean() > 0.3
    with open_writer("pictures", tmp_path / "out", labels, 0.5) as writer:
        writer.add(ImageFile(Path("a.png"), "a.png", "a.png"), bytes(images[0]), (64, 64), said)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "a.heat.png"}
    served = load_served(models["padim"], "finder", "")
    answer = served.answer(said, place(64, 64, 64, "letterbox"), Options(pictures=True))
    assert answer["is_anomaly"] == (said.anomaly > 1)
    assert answer["heat_png"]
    assert not served.explains


def test_damage_is_told(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "padim"
    shutil.copytree(models["padim"], folder)
    (folder / "head.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match=r"its files do not match model\.json"):
        load_predictor(folder)
    (folder / "head.safetensors").unlink()
    with pytest.raises(UserError, match=r"head.safetensors: missing; restore it with dvc checkout"):
        load_predictor(folder)


def test_no_errors_on_few_images_is_not_certainty(models: dict[str, Path], defects: Path) -> None:
    """Of 4 good and 6 defective images all in order: 4 pairs that share no image, so an AUROC of 0.4 is possible."""
    task = load_predictor(models["padim"]).task
    seen = [(label, 0.5 + label) for label in (0, 0, 0, 0, 1, 1, 1, 1, 1, 1)]
    known = pd.DataFrame({"id": list("abcdefghij"), "source": list("abcdefghij")})
    heat = np.ones((4, 4), np.float32)
    images = [Seen(label, score, heat, None, 0) for label, score in seen]
    metrics = with_intervals(task, Measurement(*measurement(images, known, task.labels.classes, 0)), Evaluation())
    interval = {name: (own["low"], own["high"]) for name, own in metrics["interval"].items()}
    assert set(interval) == {"auroc", "false_alarms", "missed"}, "there are no masks"
    assert interval["auroc"] == pytest.approx((0.025 ** (1 / 4), 1))
    assert interval["false_alarms"] == pytest.approx((0, 1 - 0.025 ** (1 / 4)))
    assert interval["missed"] == pytest.approx((0, 1 - 0.025 ** (1 / 6)))


def test_drift_watches_features_and_scores(models: dict[str, Path], defects: Path) -> None:
    for folder in models.values():
        seen = look(reference_images(defects, 5, 0), ModelObserver(folder, "finder"))
        assert seen is not None
        assert seen.vectors.shape == (5, 10)
        assert set(seen.answers) == {"score"}
        assert np.ptp(seen.answers["score"]) > 0


def test_what_to_do_next_is_not_to_teach_it_defects(features: Path, defects: Path, tmp_path: Path) -> None:
    make_head(section("padim"), ["gabor"], 0, features, defects, tmp_path / "model", tmp_path / "report", False)
    settings = json.loads((tmp_path / "report/training.json").read_text())
    files: Any = SimpleNamespace(
        name="finder", dataset="defects", optional=lambda path: settings if path.endswith("training.json") else None
    )
    metrics = {"task": "anomaly", "samples": 30, "headline": {"name": "auroc", "value": 0.9}}
    steps = [step.words for step in next_steps(files, metrics, WeakSpots("", classes=["spot"]))]
    assert len(steps) == 2
    assert steps[0].startswith("Add good validation images: from 10 of them the threshold can only promise 9.1%")
    assert steps[1].startswith("Look at the heat maps of “spot”")
