"""What published weights were trained on: the table beside the libraries, and what it fills in."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.published_inputs import found_inputs, table, text
from sightline.config import load_params
from sightline.config.features import Features
from sightline.config.full import full_text
from sightline.config.models import Model
from sightline.config.published import TABLE, published_input, published_inputs
from sightline.config.weights import available_networks

LITE2 = "timm:tf_efficientnet_lite2"


def model(**values: Any) -> Model:
    task = {"kind": "classification", "architecture": LITE2}
    return Model.model_validate({"dataset": "own", "task": task, **values})


def test_the_table_is_what_the_libraries_say() -> None:
    """After an upgrade of timm or torchvision: python -m bench.published_inputs."""
    found = found_inputs()
    assert TABLE.read_text(encoding="utf-8") == text(table(found))
    assert {name: one._asdict() for name, one in published_inputs().items()} == found


def test_the_table_against_what_is_known_without_it() -> None:
    lite = published_input(LITE2)
    assert lite is not None
    assert (lite.size, lite.mean, lite.std, lite.interpolation) == (260, [0.5] * 3, [0.5] * 3, "bicubic")
    inception = published_input("torchvision:inception_v3")  # whose paper subtracts 128 and divides by 128
    assert inception is not None
    assert (inception.size, inception.mean) == (299, [0.5] * 3)
    variant, plain = published_input("timm:resnet50.a3_in1k"), published_input("timm:resnet50")
    assert variant is not None
    assert plain is not None
    assert (variant.size, plain.size) == (160, 224)
    assert published_input("timm:resnet50.a1_in1k") == plain
    assert published_input("mlp") is None


@pytest.mark.parametrize(
    ("values", "size", "mean"),
    [
        ({}, 260, [0.5] * 3),
        ({"weights": "tf_efficientnet_lite2.pth"}, 260, [0.5] * 3),
        ({"weights": "mine.pth"}, 224, [0.5] * 3),  # of another size, perhaps, but hardly of other colours
        ({"weights": "random"}, 224, None),
        ({"weights": {"model": "first"}}, 224, None),  # known when that one is trained
        ({"input": {"size": 128}}, 128, [0.5] * 3),
        ({"input": {"mean": [0.1, 0.2, 0.3]}}, 260, [0.1, 0.2, 0.3]),
        ({"input": {"channels": 1}}, 260, None),
        ({"input": {"mean": None}}, 260, [0.5] * 3),
    ],
)
def test_input_of_the_weights(values: dict[str, Any], size: int, mean: list[float] | None) -> None:
    image = model(**values).input
    assert (image.size, image.mean) == (size, mean)


@pytest.mark.parametrize(
    ("task", "size"),
    [
        ({"kind": "classification", "architecture": LITE2}, 260),
        ({"kind": "multilabel", "architecture": LITE2}, 260),
        ({"kind": "regression", "architecture": LITE2}, 260),
        ({"kind": "localization", "architecture": LITE2}, 224),
        ({"kind": "detection", "backbone": LITE2}, 320),
        ({"kind": "semantic_segmentation", "architecture": "semantic_fpn", "backbone": LITE2}, 256),
    ],
)
def test_tasks_with_places_keep_their_size_but_not_their_mean(task: dict[str, Any], size: int) -> None:
    image = model(task=task).input
    assert (image.size, image.mean, image.std) == (size, [0.5] * 3, [0.5] * 3)


def test_nothing_is_said_of_interpolation_where_nothing_is_known() -> None:
    assert model(weights="random").input.interpolation is None
    assert model(input={"interpolation": "bicubic"}).input.interpolation == "bicubic"


def test_torchvisions_file_is_torchvisions_network() -> None:
    task = {"kind": "classification", "architecture": "torchvision:efficientnet_v2_l"}
    image = model(task=task, weights="efficientnet_v2_l.pth").input
    assert (image.size, image.mean) == (480, [0.5] * 3)


def test_features_leave_the_size_out_too() -> None:
    own = {"kind": "network", "architecture": LITE2, "layers": ["classifier"]}
    short = Features.model_validate({"dataset": "own", "weights": "pretrained", "extractor": own})
    assert short.input is not None
    assert (short.input.size, short.input.mean) == (260, [0.5] * 3)
    none = {"dataset": "own", "weights": "pretrained", "extractor": own, "input": None}
    assert Features.model_validate(none) == short
    given = {"dataset": "own", "weights": "random", "extractor": own, "input": {"channels": 1}}
    random = Features.model_validate(given).input
    assert random is not None
    assert (random.size, random.mean) == (224, None)


def test_the_full_text_says_where_it_is_from(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "datasets: {own: {format: image_folder, root: data/raw/own}}\n"
        f"models: {{own: {{dataset: own, task: {{kind: classification, architecture: '{LITE2}'}}}}}}\n"
        f"features: {{deep: {{dataset: own, weights: pretrained,"
        f" extractor: {{kind: network, architecture: '{LITE2}', layers: [classifier]}}}}}}\n"
    )
    params = load_params(path)
    lines = full_text(path, params).splitlines()
    for value in ("size: 260", "mean: [0.5, 0.5, 0.5]", "std: [0.5, 0.5, 0.5]"):
        told = [line for line in lines if value in line]
        assert len(told) == 2
        assert all(f"that of the weights of {LITE2}" in line for line in told)
    told = [line for line in lines if "interpolation: area" in line]
    assert len(told) == 2
    assert all("bicubic, with which the weights were trained" in line for line in told)
    (tmp_path / "full.yaml").write_text("\n".join(lines))
    assert load_params(tmp_path / "full.yaml") == params


def test_no_library_is_needed() -> None:
    code = (
        "import sys; from pathlib import Path; from sightline.config.models import Model\n"
        "from sightline.config.weights import available_networks; available_networks(Path('data/weights'))\n"
        f"Model.model_validate({{'dataset': 'own', 'task': {{'kind': 'classification', 'architecture': '{LITE2}'}}}})\n"
        "print([name for name in ('torch', 'timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_networks_that_have_weights(tmp_path: Path) -> None:
    for name in (
        "tf_efficientnet_lite2.safetensors",
        "mobilenet_v2.pth",
        "resnet18.a1_in1k.th",
        "mine.pth",
        "README.md",
        "alexnet.npz",
    ):
        (tmp_path / name).touch()
    (tmp_path / "mobilenet_v2.safetensors").touch()
    assert available_networks(tmp_path) == {
        "torchvision:mobilenet_v2": tmp_path / "mobilenet_v2.safetensors",  # which `pretrained` takes, too
        "timm:resnet18.a1_in1k": tmp_path / "resnet18.a1_in1k.th",
        LITE2: tmp_path / "tf_efficientnet_lite2.safetensors",
    }
    assert available_networks(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("name", "fitting"),
    [
        ("convnext_tiny", "apart"),
        ("efficientnet_b0", "apart"),
        ("vgg11", "apart"),
        ("vgg11_bn", "apart"),
        ("resnet18", "both"),
        ("densenet121", "both"),
    ],
)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_name_of_both_libraries_is_that_of_its_parts(tmp_path: Path, name: str, fitting: str, ending: str) -> None:
    import timm
    from safetensors.torch import save_file
    from torchvision import models

    for library, build in (("timm", timm.create_model), ("torchvision", models.get_model)):
        with torch.device("meta"):
            names = list(build(name).state_dict())
        state = {key: torch.zeros(1) for key in names}
        file = tmp_path / f"{name}.{ending}"
        if ending == "pth":
            torch.save(state, file)
        else:
            save_file(state, file)
        known = {"both": [f"timm:{name}", f"torchvision:{name}"], "apart": [f"{library}:{name}"]}
        assert available_networks(tmp_path) == dict.fromkeys(known[fitting], file)
