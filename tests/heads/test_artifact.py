"""The directory of a head: fitted from files, self-contained, refused when something does not belong to it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from sightline.config.evaluation import Evaluation
from sightline.config.features import Features
from sightline.config.heads import Head
from sightline.data.store import SplitStore
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.predictor import load_predictor
from sightline.system.errors import UserError
from sightline.training.features.building import build_features
from sightline.training.features.embedding import embed
from sightline.training.heads.artifact import holds_head
from sightline.training.heads.training import fit_head


def section(**options: Any) -> Head:
    values = {"dataset": "digits", "features": "hog", "kind": "linear_svm", "C": [0.01], **options}
    own: Head = TypeAdapter(Head).validate_python(values)
    return own


@pytest.fixture(scope="module")
def features(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = {
        "dataset": "digits",
        "input": {"size": 16, "channels": 1},
        "extractor": {"kind": "hog", "cell": 4},
    }
    folder = tmp_path_factory.mktemp("features") / "hog"
    embed(build_features(Features.model_validate(values), 0), digits, folder)
    return folder


@pytest.fixture(scope="module")
def model(digits: Path, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "svm"
    fit_head(section(), ["hog"], 0, features, digits, folder)
    return folder


def test_it_predicts_from_images_alone(model: Path, digits: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(model, moved)
    assert holds_head(moved)
    predictor, test = load_predictor(moved), SplitStore(digits / "test")
    images = [test.image(index) for index in range(len(test))]
    told = predictor.predict(images)
    assert set(told[0]) == {"label", "label_id", "confidence", "probabilities"}
    assert sum(told[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert np.mean([one["label_id"] for one in told] == test.labels) > 0.97
    with pytest.raises(UserError, match=r"engine onnx: this model has no model\.onnx"):
        load_predictor(moved, engine="onnx")
    assert predictor.predict(images[:1])[0]["label"] == told[0]["label"]


def test_the_same_features_give_the_same_bytes(model: Path, features: Path, digits: Path, tmp_path: Path) -> None:
    fit_head(section(), ["hog"], 0, features, digits, tmp_path / "svm")
    files = [path.relative_to(model) for path in sorted(model.rglob("*")) if path.is_file()]
    assert [str(file) for file in files] == ["extractor/extractor.json", "head.skops", "model.json"]
    for file in files:
        assert (tmp_path / "svm" / file).read_bytes() == (model / file).read_bytes()


def test_it_is_evaluated_as_a_network_is(model: Path, digits: Path, tmp_path: Path) -> None:
    metrics = evaluate_model(model, digits, Evaluation(resamples=100), tmp_path)
    assert metrics["task"] == "classification"
    assert metrics["headline"]["name"] == "accuracy"
    assert metrics["accuracy"] > 0.97
    assert {path.name for path in tmp_path.iterdir()} == {
        *("confusion.csv", "metrics.json", "per_class.csv", "predictions.parquet", "reliability.csv")
    }


def test_the_test_split_is_not_read(features: Path, digits: Path, tmp_path: Path) -> None:
    alone, prepared = tmp_path / "hog", tmp_path / "digits"
    shutil.copytree(features, alone)
    (alone / "test.arrow").unlink()
    (alone / "val.arrow").unlink()
    prepared.mkdir()
    shutil.copy(digits / "labels.json", prepared)
    fit_head(section(), ["hog"], 0, alone, prepared, tmp_path / "svm")


def test_features_of_other_classes_or_samples_are_refused(features: Path, digits: Path, tmp_path: Path) -> None:
    prepared, other = tmp_path / "digits", tmp_path / "hog"
    prepared.mkdir()
    labels = json.loads((digits / "labels.json").read_text())
    from sightline.data.structures import LabelMap

    names = tuple(reversed(labels["classes"]))
    (prepared / "labels.json").write_text(json.dumps(LabelMap(names, names).to_json()))
    with pytest.raises(UserError, match=r"hog: its classes are \['0', .* run dvc repro embed@hog"):
        fit_head(section(), ["hog"], 0, features, prepared, tmp_path / "svm")
    shutil.copytree(features, other)
    shutil.copy(other / "val.arrow", other / "train.arrow")
    with pytest.raises(UserError, match=r"train.arrow: does not contain the samples that features.json lists"):
        fit_head(section(), ["hog"], 0, other, digits, tmp_path / "svm")
    assert not (tmp_path / "svm").exists()


def test_what_is_damaged_is_told(model: Path, tmp_path: Path) -> None:
    for file, content in (("head.skops", b"other"), ("extractor/extractor.json", b"{}")):
        folder = tmp_path / file.replace("/", "-")
        shutil.copytree(model, folder)
        (folder / file).write_bytes(content)
        with pytest.raises(UserError, match=r"its files do not match model.json"):
            load_predictor(folder)
    missing = tmp_path / "missing"
    shutil.copytree(model, missing)
    shutil.rmtree(missing / "extractor")
    with pytest.raises(UserError, match=r"extractor: missing; restore it with dvc checkout"):
        load_predictor(missing)
    (missing / "head.skops").unlink()
    with pytest.raises(UserError, match=r"head.skops: missing; restore it with dvc checkout"):
        load_predictor(missing)
    changed = tmp_path / "changed"
    shutil.copytree(model, changed)
    text = (changed / "model.json").read_text()
    (changed / "model.json").write_text(text.replace('"size": 16', '"size": "sixteen"'))
    with pytest.raises(UserError, match=r"model.json: damaged or changed by hand"):
        load_predictor(changed)


def test_a_changed_extractor_is_found_even_when_it_names_its_own_hashes(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "svm"
    shutil.copytree(model, folder)
    path = folder / "extractor/extractor.json"
    path.write_text(path.read_text().replace('"bins": 9', '"bins": 8'))
    with pytest.raises(UserError, match="different hash"):
        load_predictor(folder)


def test_a_head_of_the_first_versions_is_read() -> None:
    """Its file names the class by the module that it was in."""
    import io
    import zipfile

    from sightline.training.heads import skops_file
    from sightline.training.heads.dropout import FeatureDropout

    made = skops_file.dump(FeatureDropout(None, 0.5, 2, 0))
    old = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made)) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"sightline.training.heads.", b"sightline.heads."))
    assert b"sightline.heads.dropout" in zipfile.ZipFile(old).read("schema.json")
    assert type(skops_file.load(old.getvalue(), "head.skops")) is FeatureDropout
