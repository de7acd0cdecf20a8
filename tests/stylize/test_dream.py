"""DeepDream with a small network: answers grow, seeds repeat, wrong words are told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.labs.stylize.dream import DreamSettings, class_answer, dream, layer_answer, normalised_gradient
from sightline.labs.stylize.jobs import make_dream
from sightline.labs.stylize.networks import Backbone
from sightline.labs.stylize.pictures import read_picture
from sightline.system.errors import UserError

SETTINGS = DreamSettings(steps=5, octaves=2, jitter=2, step_size=0.02)


@pytest.mark.parametrize("channel", [None, 3])
def test_a_dream_raises_the_answer_of_a_layer(backbone: Backbone, pictures: Path, channel: int | None) -> None:
    picture = read_picture(pictures / "content.png", 28)
    answer = layer_answer(backbone, "body.7", channel, picture)
    found = dream(backbone, picture, answer, SETTINGS, lambda step, told, current: None)
    assert found.shape == picture.shape
    assert answer(backbone.normalise(found)) > 1.2 * answer(backbone.normalise(picture))
    assert 0 <= found.min() <= found.max() <= 1


def test_a_dream_raises_the_score_of_a_class(backbone: Backbone) -> None:
    picture = torch.full((1, 3, 24, 24), 0.5)
    by_name, by_number = (class_answer(backbone, word, picture) for word in ("cat", "2"))
    assert by_name(picture) == by_number(picture) == backbone.network(picture)[0, 2]
    settings = DreamSettings(steps=10, octaves=1, jitter=0)
    found = dream(backbone, picture, by_name, settings, lambda step, told, current: None)
    assert by_name(backbone.normalise(found)) > by_name(backbone.normalise(picture))


def test_the_same_seed_gives_the_same_files(backbone: Backbone, pictures: Path) -> None:
    def files(name: str, seed: int) -> dict[str, bytes]:
        settings = DreamSettings(steps=2, octaves=2, jitter=4, seed=seed)
        made = make_dream(backbone, pictures / "content.png", 28, "body.4", None, None, settings, 2, pictures / name)
        return {str(path.relative_to(made.folder)): path.read_bytes() for path in made.files()}

    first = files("first", 1)
    assert set(first) == {
        "result.png", "losses.csv", "curve.png", "settings.json", "frames/step_0002.png", "frames/step_0004.png"
    }  # fmt: skip
    assert first == files("again", 1)
    assert first["result.png"] != files("other", 2)["result.png"]


def test_frequencies_of_a_gradient_get_one_strength() -> None:
    rows = torch.arange(64.0)
    coarse, fine = (torch.sin(2 * np.pi * rows / period).expand(1, 1, 64, 64) for period in (32, 4))
    spectrum = torch.fft.rfft(normalised_gradient(coarse + 0.01 * fine)[0, 0, 32]).abs()
    assert spectrum[16] > spectrum[2] / 25  # it was a hundredth


@pytest.mark.parametrize(
    ("layer", "channel", "wanted", "size", "told"),
    [
        ("body.8", None, None, 24, "layers: 'body.8': no such layer (did you mean"),
        ("body.4", 12, None, 24, "channel: 12: body.4 has 12, 0 to 11"),
        ("body.4", None, "cat", 24, "layer: body.4: --class cat is given too; leave one of the two out"),
        (None, None, "cow", 24, "class: cow: no such class; use one of ant, bee, cat, dog"),
        (None, None, "4", 24, "class: 4: no such class"),
        (None, None, "cat", 32, "class: cat: small does not give scores for an image of 32 x 32 px"),
    ],
)
def test_mistakes_are_told_in_a_line(
    backbone: Backbone, tmp_path: Path, layer: str, channel: int, wanted: str, size: int, told: str
) -> None:
    with pytest.raises(UserError) as error:
        make_dream(backbone, None, size, layer, channel, wanted, SETTINGS, 0, tmp_path / "to")
    assert len(error.value.lines) == 1
    assert told in error.value.lines[0]
    assert not list(tmp_path.iterdir())


def test_noise_is_the_start_without_a_picture(backbone: Backbone, tmp_path: Path) -> None:
    made = make_dream(backbone, None, 24, None, None, "bee", DreamSettings(1, 1), 0, tmp_path / "to")
    assert made.settings["class"] == "bee"
    assert made.settings["picture"] is None
    assert (made.settings["height"], made.settings["width"]) == (24, 24)
