"""Heads that find defects in a real DVC repository: from the example's params to the register, and judged again."""

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_project import ROOT, Project
from ruamel.yaml import YAML

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
NAMES = ("texture-patch-core", "texture-padim")
WEIGHTS = ROOT.parent / "shared/data/weights/tf_efficientnet_lite0.safetensors"


def params() -> dict[str, Any]:
    """Return the example, without what needs weights."""
    values: dict[str, Any] = YAML(typ="safe").load(ROOT / "examples/anomaly.yaml")
    values["features"] = {"texture": values["features"]["texture"]}
    values["heads"] = {name: values["heads"][name] for name in NAMES}
    values["evaluation"] = {"resamples": 300}
    return values


@pytest.mark.real
@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs the folder of real data beside the project")
def test_a_pretrained_network_finds_them_better(tmp_path: Path) -> None:
    values: dict[str, Any] = YAML(typ="safe").load(ROOT / "examples/anomaly.yaml")
    values["features"] = {"lite0": values["features"]["lite0"]}
    values["heads"] = {name: head for name, head in values["heads"].items() if name.startswith("lite0")}
    project = Project(tmp_path, values)
    (tmp_path / "data/weights").mkdir(parents=True, exist_ok=True)
    (tmp_path / "data/weights" / WEIGHTS.name).symlink_to(WEIGHTS)
    project.write_params(values)  # the weights are a dependency from now on
    project.repro()
    for name in values["heads"]:
        metrics = json.loads((tmp_path / "reports" / name / "metrics.json").read_text())
        assert metrics["auroc"] >= 0.97, name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"), params())
    stages = project.repro()
    assert stages.index("prepare@defects") < stages.index("embed@texture") < stages.index("fit_head@texture-padim")
    assert stages[-1] == "register"
    project.commit()
    return project


# The tests below go on from one another in this order.


def test_defects_are_found_without_any_weights(project: Project) -> None:
    assert project.aliases() == {name: {"champion": 1} for name in NAMES}
    for name in NAMES:
        reports = project.root / "reports" / name
        metrics = json.loads((reports / "metrics.json").read_text())
        assert metrics["auroc"] >= 0.95, name
        assert metrics["pixel_auroc"] >= 0.95, name
        assert {"roc", "scores", "worst"} <= {path.stem for path in (reports / "evaluation").glob("*.png")}
        released = json.loads((project.root / "release" / f"{name}.json").read_text())
        assert (released["task"], released["headline"]["name"]) == ("anomaly", "auroc")
        page = (reports / "index.html").read_text()
        assert "chance that a defective image has a higher score" in page
        assert "Scores of good and defective images" in page
    assert project.repro() == ["register"]


def test_other_validation_images_give_another_threshold_and_other_test_images_none(project: Project) -> None:
    dag = YAML(typ="safe").load(project.root / "pipelines/dag.yaml")
    assert dag["fit_head"]["texture-padim"]["validation"] == "data/features/texture/val.arrow"


def test_a_head_of_another_kind_is_judged_against_the_champion(project: Project) -> None:
    values = params()
    values["heads"]["texture-padim"] = {**values["heads"]["texture-padim"], "channels": 2}
    project.write_params(values)
    name = "texture-padim"
    assert project.repro() == [f"{stage}@{name}" for stage in ("fit_head", "evaluate", "release")] + ["register"]
    entry = json.loads((project.root / "registry/ledger.jsonl").read_text().splitlines()[-1])
    assert (entry["name"], entry["decision"]) == (name, "refuse"), entry["reason"]
    assert entry["headline"]["name"] == "auroc"


def test_mlflow_answers_with_score_and_verdict(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    import pandas as pd

    from sightline.data.store import SplitStore

    monkeypatch.chdir(project.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root / 'mlflow.db'}")
    test = SplitStore(Path("data/prepared/defects/test"))
    model = mlflow.pyfunc.load_model("models:/texture-patch-core@champion")
    answers = model.predict(pd.DataFrame({"image": [bytes(test.image(index)) for index in range(20)]}))
    found = [json.loads(text) for text in answers["prediction"]]
    right = [own["is_anomaly"] == (label > 0) for own, label in zip(found, test.labels[:20], strict=True)]
    assert sum(right) >= 17
