"""A model that sees tiles: trained, measured, exported, predicted, served and registered like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.config import load_params
from sightline.config.datasets import Scenes
from sightline.config.evaluation import Evaluation
from sightline.config.models import Model
from sightline.data.raw.preparation import prepare
from sightline.data.store import SplitStore
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.explain.own_images import explain_images
from sightline.evaluation.predictor import load_predictor
from sightline.operations.drift.observers import ModelObserver
from sightline.operations.serve.limits import Upload
from sightline.operations.serve.served_model import Options, load_served
from sightline.pipeline.stamps import stamps
from sightline.system.errors import UserError
from sightline.training.artifact.folder import ONNX, read_card
from sightline.training.artifact.onnx import TILING
from sightline.training.datamodule import PreparedData
from sightline.training.fit import train

ROOT = Path(__file__).parents[2]
TILING_SECTION = {"size": 64, "overlap": 0.4, "per_image": 2}
KINDS: dict[str, dict[str, Any]] = {
    "detection": {"kind": "detection", "backbone": "timm:test_resnet", "strides": [8, 16], "score_threshold": 0.01},
    "instances": {"kind": "instance_segmentation", "backbone": "timm:test_resnet", "strides": [8, 16]},
    "segmentation": {"kind": "semantic_segmentation", "architecture": "unet", "depth": 2, "width": 8},
}


def section(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "dataset": "large",
        "task": dict(KINDS[kind]),
        "weights": "random",
        "input": {"size": 64, "channels": 3},
        "tiling": dict(TILING_SECTION),
        "trainer": {"max_epochs": 1, "batch_size": 4, "threads": 1},
        **more,
    }


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of 150 px, of which tiles are 64."""
    folder = tmp_path_factory.mktemp("prepared") / "large"
    scenes = Scenes(format="scenes", root="data/embedded", count=16, size=150, max_objects=6)
    prepare("large", scenes, folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def trained(large: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        model = Model.model_validate(section(kind))
        train(model, 1, large, root / kind, resume_root=root / "resume")
    return {kind: root / kind for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_tiled_models_are_measured_in_the_images_own_pixels(
    kind: str, trained: dict[str, Path], large: Path, tmp_path: Path
) -> None:
    metrics = evaluate_model(trained[kind], large, Evaluation(resamples=100), tmp_path)
    rows = pd.read_parquet(tmp_path / "predictions.parquet")
    assert len(rows) == metrics["samples"] == len(SplitStore(large / "test"))
    assert ("onnx" in metrics) == (kind != "instances")
    if "onnx" in metrics:
        assert metrics["onnx"]["agrees"]
        assert 0 < metrics["onnx"]["largest_output_difference"] < 1e-2


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_onnx_is_the_graph_of_one_tile_and_says_how_images_are_cut(
    kind: str, trained: dict[str, Path], large: Path
) -> None:
    graph = onnx.load(str(trained[kind] / ONNX))
    told = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(told[TILING]) == read_card(trained[kind]).to_json()["tiling"]
    assert [axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim][1:] == [64, 64, 3]
    images = [bytes(SplitStore(large / "test").image(0))]
    said = [load_predictor(trained[kind], engine=engine).predictions(images)[0] for engine in ("torch", "onnx")]
    if kind == "segmentation":
        assert said[0].semantic is not None
        assert said[0].semantic.shape == (150, 150)
        assert np.mean(said[0].semantic == said[1].semantic) > 0.999
    else:
        assert said[0].boxes is not None
        assert said[1].boxes is not None
        assert said[0].boxes[:, 2:].max() > 64, "beyond the first tile"
        np.testing.assert_allclose(said[0].boxes[:5], said[1].boxes[:5], atol=0.1)


def test_the_same_training_gives_the_same_bytes(trained: dict[str, Path], large: Path, tmp_path: Path) -> None:
    """Also with tiles read by other processes, which are asked in another order."""
    settings = section("detection", trainer={"max_epochs": 1, "batch_size": 4, "threads": 1, "num_workers": 2})
    train(Model.model_validate(settings), 1, large, tmp_path / "again", resume_root=tmp_path / "resume")
    name = "weights.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (trained["detection"] / name).read_bytes()


def test_batches_are_of_tiles(large: Path) -> None:
    model = Model.model_validate(section("detection"))
    data = PreparedData(
        large,
        ("boxes", "box_labels"),
        size=64,
        channels=3,
        resize="letterbox",
        interpolation=None,
        augment="light",
        batch_size=4,
        num_workers=0,
        seed=1,
        tiling=model.tiling,
    )
    batch = data.data["train"].__getitems__([(0, 0), (0, 1), (0, 7)])
    assert batch.images.shape == (3, 64, 64, 3)
    assert len(batch.targets["boxes"]) == 3
    first, second = (list(data.validation_batches()) for _ in range(2))
    assert sum(len(one.images) for one in first) == 2 * len(SplitStore(large / "val"))
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one.images, other.images)


def test_predict_serve_and_mlflow_answer_alike(trained: dict[str, Path], large: Path, tmp_path: Path) -> None:
    from sightline.registry.tracking.mlflow_model import ImageModel

    encoded = bytes(SplitStore(large / "test").image(1))
    (tmp_path / "a.png").write_bytes(encoded)
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    done = CliRunner().invoke(app, ["predict", str(trained["detection"]), str(tmp_path), "--to", "jsonl"])
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    served = load_served(trained["detection"], "tiled", "")
    assert not served.explains
    seen = served.decode(Upload("a.png", encoded, 150 * 150))
    [answer] = [served.answer(own, seen[1], Options()) for own in served.predict([seen])]
    assert (answer["height"], answer["width"]) == (150, 150)
    registered = ImageModel()
    registered.load_context(SimpleNamespace(artifacts={"model": str(trained["detection"])}))
    frame = registered.predict(None, pd.DataFrame({"image": [encoded]}))
    ours = json.loads(frame["prediction"][0])["objects"]
    assert len(ours) > 3
    for theirs in (told[0]["objects"], told[1]["objects"], answer["objects"]):
        assert [one["label"] for one in theirs] == [one["label"] for one in ours]
        np.testing.assert_allclose([one["box"] for one in theirs], [one["box"] for one in ours], atol=1e-3)


def test_a_card_without_tiles_is_as_it_was(trained: dict[str, Path]) -> None:
    card = read_card(trained["detection"])
    assert card.tiling is not None
    assert card.tiling.size == 64
    from dataclasses import replace

    assert "tiling" not in replace(card, tiling=None).to_json()


def test_what_needs_whole_images_is_refused(trained: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sees tiles .*heat maps are of whole images"):
        explain_images(trained["detection"], [tmp_path / "a.png"], tmp_path / "out")
    with pytest.raises(UserError, match="detector: sees tiles, and drift is of whole images"):
        ModelObserver(trained["detection"], "detector")
    with pytest.raises(UserError, match="it sees tiles"):
        load_served(trained["detection"], "tiled", "").network()
    with pytest.raises(ValueError, match=r"tiling is for detection, .* what keypoints says of tiles makes no answer"):
        Model.model_validate({"dataset": "d", "task": "keypoints", "tiling": {}})
    params = {
        "datasets": {"large": {"format": "scenes", "root": "data/embedded"}},
        "models": {"tiled": section("detection")},
        "features": {
            "deep": {
                "dataset": "large",
                "weights": {"model": "tiled"},
                "extractor": {"kind": "model", "layers": ["body"]},
            }
        },
    }
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(params))
    with pytest.raises(UserError, match=r"features\.deep\.weights\.model: 'tiled' sees tiles"):
        load_params(path)
    path.write_text(json.dumps({**params, "features": {}, "explanations": {"tiled": {"dataset": "large"}}}))
    with pytest.raises(UserError, match=r"explanations\.tiled: the model sees tiles"):
        load_params(path)


def test_only_models_with_tiles_depend_on_their_code(tmp_path: Path) -> None:
    models = {"tiled": section("detection"), "whole": section("detection", tiling=None)}
    models |= {"map": section("segmentation"), "steps": section("detection", tiling=None, ladder={})}
    path = tmp_path / "params.yaml"
    path.write_text(
        json.dumps({"datasets": {"large": {"format": "scenes", "root": "data/embedded"}}, "models": models})
    )
    found = {f"{file.parent}@{file.stem}": stamp["code"] for file, stamp in stamps(load_params(path), ROOT)}
    code = {stage: {name for name in own if ".tile" in name} for stage, own in found.items()}
    for stage in ("train", "evaluate", "release"):
        assert not {name for name in code[f"{stage}@whole"] if "MaybeTiling" not in name}
        assert not {name for name in code[f"{stage}@steps"] if "MaybeTiling" not in name}
    assert any("tile_draws" in name for name in code["train@tiled"])
    assert not any("tiles.objects" in name for name in code["train@tiled"]), "training merges nothing"
    assert any("tiles.objects" in name for name in code["evaluate@tiled"])
    assert not any("tiles.maps" in name for name in code["evaluate@tiled"])
    assert any("tiles.maps" in name for name in code["evaluate@map"])
