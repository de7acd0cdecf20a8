"""The examples on real data, where it is at hand, reach what they promise."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc_project import ROOT, Project
from ruamel.yaml import YAML

DATA = ROOT.parent / "shared/data"
pytestmark = pytest.mark.timeout(4300)


def on_real_data(test: Any) -> Any:
    absent = pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder of real data beside the project")
    return pytest.mark.real(absent(test))


def run(example: str, root: Path, links: dict[str, str], models: Collection[str]) -> dict[str, Any]:
    """Run an example with some of its models; return the headline metric of each on the test split."""
    params = YAML(typ="safe").load(ROOT / "examples" / example)
    params["models"] = {name: params["models"][name] for name in models}
    used = {model["dataset"] for model in params["models"].values()}
    used |= {own["dataset"] for own in params.get("augmentations", {}).values()}
    params["datasets"] = {name: params["datasets"][name] for name in params["datasets"] if name in used}
    project = Project(root, params)
    for place, target in links.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(DATA / target)
    project.repro()
    reports = {name: root / f"reports/{name}/evaluation/metrics.json" for name in params["models"]}
    return {name: json.loads(path.read_text())["headline"]["value"] for name, path in reports.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "least",
    [  # those that build on one another together; the classifier, which most go on from, is trained in a minute
        pytest.param({"classifier": 0.93, "detector": 0.70, "instances": 0.70}, id="objects"),
        pytest.param({"classifier": 0.93, "localizer": 0.65, "labels": 0.45, "counter": 0.75}, id="images"),
        pytest.param({"pose": 0.85, "autoencoder": 20.0}, id="from-nothing"),  # the second in dB
    ],
)
def test_showcase(tmp_path: Path, least: dict[str, float]) -> None:
    """The tasks that no other test trains for minutes, and the classifier and the detector that they start from.

    The bounds leave room for other processors and numbers of threads below what docs/tasks.md tells.
    """
    score = run("showcase.yaml", tmp_path, {}, least)
    assert set(score) == set(least)
    assert {name: value for name, value in score.items() if value < least[name]} == {}


@on_real_data
def test_mnist(tmp_path: Path) -> None:
    """Without the convolutional networks, which take as long as all others; docs/networks.md has them."""
    least = {"mnist-mlp": 0.97, "mnist-lenet5": 0.975}
    accuracy = run("mnist.yaml", tmp_path, {"data/raw/mnist": "mnist"}, least)
    assert {name: value for name, value in accuracy.items() if value < least[name]} == {}


@on_real_data
def test_flowers(tmp_path: Path) -> None:
    """One seed on 240 images: a standard error of 0.01, and other processors round otherwise."""
    weights = "weights/mobilenet_v2_tf2_ptq_deq.pth"
    links = {"data/raw/flowers12": "flowers12", "data/weights/mobilenet_v2.pth": weights}
    assert run("flowers.yaml", tmp_path, links, ["flower-net"])["flower-net"] >= 0.94


def made(
    example: str, root: Path, links: dict[str, str], heads: Sequence[str], others: Sequence[str] = ()
) -> dict[str, float]:
    """Make some heads of an example, what they need, and other stages; return accuracies on the test split."""
    project = Project(root, YAML(typ="safe").load(ROOT / "examples" / example))
    for place, target in links.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(DATA / target)
    done = project.dvc("repro", *(f"evaluate@{name}" for name in heads), *others)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((root / f"reports/{name}/metrics.json").read_text())["accuracy"] for name in heads}


@on_real_data
def test_mnist_heads(tmp_path: Path) -> None:
    heads = ["mnist-templates", "mnist-pixels-svm", "mnist-hog-svm"]
    accuracy = made("mnist_heads.yaml", tmp_path, {"data/raw/mnist": "mnist"}, heads)
    assert 0.81 <= accuracy["mnist-templates"] <= 0.83
    assert accuracy["mnist-pixels-svm"] >= 0.91
    assert accuracy["mnist-hog-svm"] >= 0.98


@on_real_data
def test_caltech25(tmp_path: Path) -> None:
    from sightline.labs.transfer_study import chosen_rows, study_features

    links = {
        "data/raw/caltech25": "caltech25",
        "data/weights/mobilenet_v2.pth": "weights/mobilenet_v2_tf2_ptq_deq.pth",
        "data/weights/squeezenet1_0.pth": "weights/squeezenet1_0_deepcompressed.pth",
    }
    scores = made("caltech25.yaml", tmp_path, links, ["caltech-logistic"], ["embed@caltech-squeezenet"])
    assert scores["caltech-logistic"] >= 0.93
    for features, layers, kind in (
        ("caltech-mobilenet", ["features.17", "features.18"], "logistic"),
        ("caltech-squeezenet", ["features.12"], "linear_svm"),
    ):
        rows, _ = study_features(
            tmp_path / "data/features" / features, layers, tmp_path / features, 30, 3, [kind], 0.0, False, 1
        )
        assert chosen_rows(rows)["accuracy"].mean() >= 0.955
