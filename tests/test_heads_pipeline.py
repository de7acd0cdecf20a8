"""Features and heads in a real DVC repository: made, judged, registered and served as networks are."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from ruamel.yaml import YAML
from warm_python import warm_python

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]
NETWORK = {
    "dataset": "digits",
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 2e-3},
    "task": {"kind": "classification", "architecture": "mnist_cnn"},
}
PARAMS: dict[str, Any] = {
    "seed": 1,
    "datasets": {"digits": {"format": "digits", "root": "data/embedded"}},
    "trainer": {"max_epochs": 2, "batch_size": 64},
    "models": {"net": NETWORK},
    "features": {
        "deep": {
            "dataset": "digits",
            "weights": {"model": "net"},
            "extractor": {"kind": "model", "layers": ["pool2", "dense_activation1"]},
        },
        "pixels": {
            "dataset": "digits",
            "input": {"size": 8, "channels": 1},
            "extractor": {"kind": "pixels"},
        },
    },
    "heads": {
        "deep-svm": {"dataset": "digits", "features": "deep", "kind": "linear_svm", "C": [0.001, 0.1]},
        "near": {"dataset": "digits", "features": "pixels", "kind": "nearest_centroid"},
    },
    "evaluation": {"resamples": 200},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Its first run is by interpreters that start from nothing, as a user's do."""
    project = Project(tmp_path_factory.mktemp("project"), PARAMS, warm=False)
    stages = project.repro()
    project.python = warm_python()
    assert stages.index("train@net") < stages.index("embed@deep") < stages.index("fit_head@deep-svm")
    assert stages[-1] == "register"
    project.commit()
    return project


def change(project: Project, path: str, value: Any) -> None:
    params = YAML(typ="safe").load(project.root / "params.yaml")
    *parents, last = path.split(".")
    here = params
    for part in parents:
        here = here[part]
    here[last] = value
    project.write_params(params)


# The tests below go on from one another in this order.


def test_heads_are_registered_with_a_score_and_pictures(project: Project) -> None:
    assert project.aliases() == {name: {"champion": 1} for name in ("net", "deep-svm", "near")}
    reports = project.root / "reports/deep-svm"
    assert json.loads((reports / "metrics.json").read_text())["accuracy"] > 0.93
    pictures = {path.stem for path in (reports / "evaluation").glob("*.png")}
    assert pictures == {"confusion", "per_class", "quality", "reliability", "worst"}
    assert (reports / "training/cross_validation.csv").is_file()
    curves = [project.root / "reports" / name / "training/learning_curve.json" for name in ("deep-svm", "near")]
    own, pixels = (json.loads(path.read_text()) for path in curves)
    assert "trained on the same train images" in own["reason"]
    assert 0 <= pixels["twice_the_data"]["gain"] < 0.03
    released = json.loads((project.root / "release/deep-svm.json").read_text())
    assert (released["task"], released["headline"]["name"]) == ("classification", "accuracy")
    assert project.repro() == ["register"]


def test_the_run_of_a_head_says_what_was_chosen(project: Project) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    version = client.get_model_version_by_alias("deep-svm", "champion")
    run = client.get_run(version.run_id)
    assert run.data.params["kind"] == "linear_svm"
    assert float(run.data.params["chosen.C"]) in (0.001, 0.1)
    assert run.data.metrics["test/accuracy"] > 0.93
    assert "cross_validation.csv" in {
        Path(file.path).name for file in client.list_artifacts(version.run_id, "training")
    }


def test_mlflow_serves_a_head_without_pickle(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    import numpy as np
    import pandas as pd

    from sightline.data.store import SplitStore

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root / 'mlflow.db'}")
    test = SplitStore(project.root / "data/prepared/digits/test")
    images = [bytes(test.image(index)) for index in range(40)]
    for name in ("deep-svm", "near"):
        model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
        answer = model.predict(pd.DataFrame({"image": images}))
        assert list(answer.columns) == ["prediction", "label", "label_id", "confidence", "probabilities"]
        assert np.mean(answer["label_id"].to_numpy() == test.labels[:40]) > 0.8


def test_a_head_of_another_kind_is_judged_against_the_champion(project: Project) -> None:
    change(project, "heads.near", {"dataset": "digits", "features": "pixels", "kind": "rbf_svm", "C": [10.0]})
    assert project.repro() == ["fit_head@near", "evaluate@near", "release@near", "register"]
    assert project.aliases()["near"] == {"champion": 2}
    ledger = [json.loads(line) for line in (project.root / "registry/ledger.jsonl").read_text().splitlines()]
    assert (ledger[-1]["name"], ledger[-1]["decision"]) == ("near", "promote")
    assert ledger[-1]["reason"].startswith("better: gain +")


def test_other_test_images_fit_nothing_and_the_champion_predicts_anew(project: Project) -> None:
    """A champion of another test set is a head that is taken out of DVC's cache and predicts again."""
    change(project, "heads.near", {"dataset": "digits", "features": "pixels", "kind": "knn", "neighbours": [5]})
    text = (project.root / "pipelines/prepare.py").read_text()
    test = project.root / "data/prepared/digits/test"
    move = """
    import pyarrow as pa
    for path in sorted((folder / "test").glob("*.arrow")):
        rows = pa.ipc.open_file(str(path)).get_batch(0)
        with pa.OSFile(str(path) + ".new", "wb") as file, pa.ipc.new_file(file, rows.schema) as out:
            out.write_batch(pa.RecordBatch.from_pylist(rows.to_pylist()[:200], schema=rows.schema))
        Path(str(path) + ".new").replace(path)
"""
    assert test.is_dir()
    marker = "    annotations = "
    (project.root / "pipelines/prepare.py").write_text(text.replace(marker, move.lstrip("\n") + marker, 1))
    stages = project.repro()
    assert "prepare@digits" in stages
    assert "embed@deep" in stages
    assert not [stage for stage in stages if stage.startswith(("train@", "fit_head@deep"))]
    assert {"fit_head@near", "evaluate@near", "evaluate@deep-svm", "evaluate@net"} <= set(stages)
    last = [json.loads(line) for line in (project.root / "registry/ledger.jsonl").read_text().splitlines()][-1]
    assert (last["name"], last["promotions_on_test_set"]) == ("near", 0)
    assert "on 200 samples" in last["reason"]


def test_a_lost_database_is_made_again_for_heads_too(project: Project) -> None:
    aliases = project.aliases()
    (project.root / "mlflow.db").unlink()
    shutil.rmtree(project.root / "mlartifacts")
    assert project.repro() == ["register"]
    assert {name: set(own) for name, own in project.aliases().items()} == {
        name: set(own) for name, own in aliases.items()
    }


def test_a_wrong_layer_ends_with_one_line_and_the_last_features(project: Project) -> None:
    before = project.files("data/features/deep")
    change(project, "features.deep.extractor.layers", ["pool22", "dense_activation1"])
    done = project.dvc("repro", "embed@deep")
    assert done.returncode != 0
    assert "extractor.layers: pool22: no such layer (did you mean pool2" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.files("data/features/deep") == before
