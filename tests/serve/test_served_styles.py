"""Mixes of styles over the wire: which picture comes back, in which batches, and what is refused."""

import asyncio
import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from served import Start, encoded, photograph, write_random_model
from torch import nn

from sightline.evaluation.predictor import load_predictor
from sightline.models.style.mixes import mix_of
from sightline.models.style.network import ConditionalNorm
from sightline.operations.serve import Batching

STYLES = ("sea", "night")


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)

    def differ(network: nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, ConditionalNorm):
                nn.init.normal_(module.scale, 1, 0.5)

    task = {"kind": "style_network", "paintings": "p", "styles": ["sea.png", "night.png"], "width": 4, "blocks": 1}
    return write_random_model(tmp_path_factory.mktemp("models") / "painter", task, 32, 3, change=differ)


def pixels(png: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_mix_is_that_of_the_predictor(painter: Path, start: Start) -> None:
    server, image = start(painter), encoded(photograph())
    assert server.client.get("/model").json()["styles"] == list(STYLES)
    [plain] = server.send(image, pictures=True).json()["predictions"]
    assert plain["pictures"] == list(STYLES) == list(plain["pictures_png"])
    [mixed] = server.send(image, pictures=True, styles="night:3,sea:1").json()["predictions"]
    [expected] = load_predictor(painter).predictions([image], mix_of(STYLES, {"sea": 1.0, "night": 3.0}))
    assert expected.pictures is not None
    [(name, png)] = mixed["pictures_png"].items()
    assert [name] == list(expected.pictures) == ["sea-25+night-75"]
    assert np.abs(pixels(png).astype(int) - expected.pictures[name]).max() <= 1
    body = {"image": base64.b64encode(image).decode(), "styles": "sea:1"}
    assert server.client.post("/predict", json=body).json()["predictions"][0]["pictures"] == ["sea"]


def test_different_mixes_do_not_share_a_batch(painter: Path, start: Start) -> None:
    """Four requests at once, which would be one batch if they asked for the same."""
    server, image = start(painter, batching=Batching(max_batch=4, max_wait_ms=300, workers=1)), encoded(photograph())

    async def ask() -> list[str]:
        asked = ("sea:1", "night:1", "sea:1", "sea:1,night:1")
        sent = [asyncio.to_thread(server.send, image, styles=styles) for styles in asked]
        return [answer.json()["predictions"][0]["pictures"][0] for answer in await asyncio.gather(*sent)]

    assert asyncio.run(ask()) == ["sea", "night", "sea", "sea-50+night-50"]


@pytest.mark.parametrize(
    ("styles", "told"),
    [
        ("see:1", "style: see: no such style (did you mean sea?); there are sea, night"),
        ("sea", "styles: sea: must be NAME:WEIGHT"),
        ("sea:x", "styles: sea:x: must be NAME:WEIGHT"),
        ("sea:0", "style: all weights are 0"),
        ("sea:nan", "must be a number of 0 or more"),
    ],
)
def test_wrong_mixes_are_refused(painter: Path, start: Start, styles: str, told: str) -> None:
    answer = start(painter).send(encoded(photograph()), styles=styles)
    assert answer.status_code == 422
    assert told in answer.json()["error"]


def test_other_models_have_no_styles(classifier: Path, start: Start) -> None:
    answer = start(classifier).send(encoded(photograph()), styles="sea:1")
    assert answer.status_code == 422
    assert "this model has no styles" in answer.json()["error"]
