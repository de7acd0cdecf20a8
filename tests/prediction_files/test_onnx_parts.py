"""An exported network says the same of many images, which it sees in parts, as of each alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.structures import LabelMap
from sightline.tasks import build
from sightline.training.artifact.onnx import OnnxNetwork, write_onnx

LABELS = LabelMap(("cat", "dog"), ("7", "9"))
SIZE = 32


def exported(path: Path, section: dict[str, Any]) -> OnnxNetwork:
    torch.manual_seed(0)
    task = build(TypeAdapter(TaskConfig).validate_python(section), Input(size=SIZE), LABELS).eval()
    write_onnx(task, SIZE, 3, path)
    return OnnxNetwork(path, threads=1)


def by_name(outputs: Any) -> dict[str, torch.Tensor]:
    return outputs if isinstance(outputs, dict) else {"": outputs}


@pytest.mark.parametrize(
    "section",
    [{"kind": "classification", "architecture": "timm:test_resnet"}, {"kind": "detection"}],
    ids=["one output", "several"],
)
def test_parts_give_what_each_image_gives(
    section: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = exported(tmp_path / "model.onnx", section)
    images = np.random.default_rng(0).integers(0, 256, (11, SIZE, SIZE, 3), np.uint8)
    sizes = list[int]()
    session = network._session

    class Watched:
        def run(self, names: list[str], given: dict[str, Any]) -> Any:
            sizes.append(len(given["images"]))
            return session.run(names, given)

    monkeypatch.setattr(network, "_session", Watched())
    whole = by_name(network(images))
    monkeypatch.setattr(network, "_together", 4 * SIZE * SIZE)
    parts = by_name(network(images))
    alone = [by_name(network(images[place : place + 1])) for place in range(11)]
    assert sizes == [11, 4, 4, 3, *[1] * 11]
    for name, values in whole.items():
        assert torch.allclose(parts[name], values, atol=1e-5)
        assert torch.allclose(parts[name], torch.cat([one[name] for one in alone]), atol=1e-5)
        assert parts[name].shape == values.shape


def test_an_image_larger_than_a_part_goes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = exported(tmp_path / "model.onnx", {"kind": "classification", "architecture": "timm:test_resnet"})
    images = np.zeros((3, SIZE, SIZE, 3), np.uint8)
    monkeypatch.setattr(network, "_together", 7)
    assert network._step(images) == 1
    monkeypatch.setattr(network, "_splits", False)
    assert network._step(images) == 3
