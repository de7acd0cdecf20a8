"""Style networks: what a mix is, losses against those of single pictures, metrics, a whole training, its graph."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sightline.config.models import Input, Model
from sightline.config.tasks.style_network import StyleNetwork as Config
from sightline.data.images import place
from sightline.data.store import SplitStore
from sightline.data.structures import LabelMap
from sightline.evaluation.predictor import load_predictor
from sightline.models.style.judge import StyleJudge, build_judge
from sightline.models.style.losses import as_maps, distances, gram, grams, relative_distance, total_variation
from sightline.models.style.mixes import mix_name, mix_of
from sightline.models.style.network import ConditionalNorm, style_resnet
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.tasks.metrics.by_kind import resampled
from sightline.tasks.metrics.resampling import resampled_counts
from sightline.tasks.style_network import StyleNetwork
from sightline.training.artifact.folder import ModelCard, read_model, write_model
from sightline.training.artifact.onnx import OnnxNetwork
from sightline.training.fit import train

Array = np.ndarray[Any, Any]
SIZE = 32


def draw(path: Path, seed: int) -> None:
    rows, columns = np.mgrid[:40, :48]
    random = np.random.default_rng(seed)
    wave = np.sin(rows * random.uniform(0.3, 2) + columns * random.uniform(0.3, 2))[..., None] / 2 + 0.5
    pixels = wave * random.uniform(0, 255, 3) + (1 - wave) * random.uniform(0, 255, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels.round().astype(np.uint8))


@pytest.fixture
def section(tmp_path: Path) -> Config:
    for seed, name in enumerate(("sea", "night")):
        draw(tmp_path / f"paintings/{name}.png", seed)
    return Config(
        kind="style_network",
        paintings=str(tmp_path / "paintings"),
        styles=["sea.png", "night.png"],
        width=4,
        blocks=1,
        loss_network_weights="random",
    )


@pytest.fixture
def task(section: Config, scenes: Path) -> StyleNetwork:
    torch.manual_seed(0)
    built = build(section, Input(size=SIZE, channels=3), LabelMap((), ()), train=SplitStore(scenes / "train"))
    assert isinstance(built, StyleNetwork)
    for module in built.network.modules():
        if isinstance(module, ConditionalNorm):  # else both styles begin alike
            nn.init.normal_(module.scale, 1, 0.5)
    return built.eval()


def images(count: int = 3, size: int = SIZE) -> torch.Tensor:
    random = np.random.default_rng(1)
    small = random.integers(0, 256, (count, 6, 6, 3)).astype(np.uint8)
    return torch.from_numpy(np.stack([cv2.resize(one, (size, size)) for one in small]))


@pytest.mark.parametrize("size", [8, 13, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_have_the_size_of_their_images(size: int, channels: int) -> None:
    network = style_resnet(channels, 2, width=4, blocks=1)
    drawn = network(torch.randn(2, channels, size, size), torch.eye(2))
    assert drawn.shape == (2, 3, size, size)
    assert 0 <= drawn.min().item() < drawn.max().item() <= 1
    drawn.mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_normalisation_is_that_of_a_slow_loop() -> None:
    norm = ConditionalNorm(3, 2)
    for weights in (norm.scale, norm.shift):
        nn.init.normal_(weights)
    maps, mixes = torch.randn(2, 3, 4, 5), torch.tensor([[1.0, 0.0], [0.3, 0.7]])
    found = norm(maps, mixes)
    for image in range(2):
        for channel in range(3):
            own = maps[image, channel]
            scale = sum(float((mixes[image, style] * norm.scale[style, channel]).detach()) for style in range(2))
            shift = sum(float((mixes[image, style] * norm.shift[style, channel]).detach()) for style in range(2))
            expected = scale * (own - own.mean()) / (own.var(unbiased=False) + 1e-5).sqrt() + shift
            assert torch.allclose(found[image, channel], expected, atol=1e-5)


def test_losses_are_the_means_of_those_of_single_pictures(task: StyleNetwork) -> None:
    """Each picture by the functions that the optimisation uses, one after another."""
    photographs = images()
    outputs = task(photographs)
    judge = task.judge
    expected = []
    for image in range(3):
        wanted = judge.features(photographs[image : image + 1].permute(0, 3, 1, 2) / 255)
        for style in range(2):
            picture = outputs["pictures"][image, style][None]
            found = judge.features(picture)
            content = sum(
                w * relative_distance(as_maps(found[n]), as_maps(wanted[n])) for n, w in judge.content_layers.items()
            )
            own = sum(
                weight * relative_distance(gram(as_maps(found[name])), getattr(judge, f"gram{number}")[style])
                for number, (name, weight) in enumerate(judge.style_layers.items())
            )
            expected.append((content + 60 * own + 50 * total_variation(picture)).item())
    assert float(task.training_loss(photographs, {})) == pytest.approx(np.mean(expected), rel=1e-4)


def test_batches_of_matrices_and_distances() -> None:
    maps, others = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    for number in range(2):
        assert torch.allclose(grams(maps)[number], gram(as_maps(maps[number : number + 1])))
        assert distances(maps, others)[number] == pytest.approx(float(relative_distance(maps[number], others[number])))
    tokens = torch.rand(2, 7, 3)
    assert torch.allclose(grams(tokens)[1], gram(as_maps(tokens[1:])))


def test_a_mix_lies_between_its_styles(task: StyleNetwork) -> None:
    half = torch.from_numpy(mix_of(task.styles, {"sea": 2.0, "night": 2.0}))
    with torch.inference_mode():
        alone, mixed = task(images())["pictures"], task(images(), half)["pictures"]
    assert mixed.shape == (3, 1, 3, SIZE, SIZE)
    whole = float((alone[:, 0] - alone[:, 1]).abs().mean())
    for style in range(2):
        assert 0 < float((mixed[:, 0] - alone[:, style]).abs().mean()) < whole
    with torch.inference_mode():
        again = task(images(), torch.eye(2)[1:])["pictures"]
    torch.testing.assert_close(again[:, 0], alone[:, 1])


def test_mixes_by_name() -> None:
    assert mix_of(("sea", "night"), {"night": 3.0, "sea": 1.0}).tolist() == [[0.25, 0.75]]
    assert mix_name(("sea", "night"), [0.25, 0.75]) == "sea-25+night-75"
    assert mix_name(("sea", "night"), [0.0, 1.0]) == "night"
    for weights, told in (
        ({"see": 1.0}, r"style: see: no such style \(did you mean sea\?\); there are sea, night"),
        ({"sea": 0.0}, "all weights are 0"),
        ({"sea": -1.0}, "must be a number of 0 or more"),
    ):
        with pytest.raises(UserError, match=told):
            mix_of(("sea", "night"), weights)
    with pytest.raises(UserError, match="this model has no styles"):
        mix_of((), {"sea": 1.0})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"styles": []}, "at least 1"),
        ({"styles": ["a.jpg", "a.png"]}, "two styles are called a"),
        ({"styles": ["sub/a.png"]}, "must be a file of the folder"),
        ({"style_weight": 0.0}, "greater than 0"),
        ({"style_layers": {"features.1": 0.0}}, "style_layers: all weights are 0"),
    ],
)
def test_mistakes_of_the_section(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Config.model_validate({"kind": "style_network", "paintings": "p", "styles": ["a.png"], **changes})


def test_a_painting_that_is_missing_or_broken_is_told(section: Config, scenes: Path) -> None:
    store = SplitStore(scenes / "train")
    image, labels = Input(size=SIZE, channels=3), LabelMap((), ())
    path = Path(section.paintings, "night.png")
    path.write_bytes(b"text")
    with pytest.raises(UserError, match=r"task.styles: .*night.png: not a readable picture"):
        build(section, image, labels, train=store)
    path.unlink()
    with pytest.raises(UserError, match=r"task.styles: .*night.png: no such picture"):
        build(section, image, labels, train=store)
    built = build(section, image, labels)
    assert isinstance(built, StyleNetwork), "what is saved needs no paintings"
    with pytest.raises(UserError, match=r"layers: 'features.99': no such layer"):
        build(section.model_copy(update={"style_layers": {"features.99": 1.0}}), image, labels)


def test_the_loss_network_never_learns_and_ends_at_its_deepest_layer() -> None:
    judge = build_judge("torchvision:squeezenet1_0", "random", 2, 64, None, None, average_pooling=True)
    assert isinstance(judge, StyleJudge)
    judge.train()
    assert not judge.network.training
    assert not any(one.requires_grad for one in judge.parameters())
    assert not [name for name in judge.state_dict() if "classifier" in name]
    assert not any(isinstance(one, nn.MaxPool2d) for one in judge.modules())


def measured(task: StyleNetwork, photographs: Array) -> Any:
    encoded = [cv2.imencode(".png", one[..., ::-1])[1].tobytes() for one in photographs]
    ids = [f"{number:03d}" for number in range(len(encoded))]
    with torch.inference_mode():
        outputs = task(torch.from_numpy(photographs))
        said = task.predictions(outputs, [place(SIZE, SIZE, SIZE, "stretch")] * len(encoded))
    return task.measure(iter(said), pd.DataFrame({"id": ids, "source": ids, "image": encoded}), bins=15)


def test_metrics_are_of_every_style_and_of_the_pictures_alone(task: StyleNetwork) -> None:
    photographs = images(4).numpy()
    result = measured(task, photographs)
    assert result.headline == "loss_reduction"
    assert list(result.tables["styles"]["style"]) == ["sea", "night"]
    mean = result.tables["styles"]["style_distance"].mean()
    assert result.values["style_distance"] == pytest.approx(mean)
    rounded = (task(torch.from_numpy(photographs))["pictures"] * 255).round() / 255
    pixels = torch.from_numpy(photographs).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        content, style = task.judge.distances(rounded.flatten(0, 1), pixels, torch.eye(2).repeat(4, 1))
        _, before = task.judge.distances(pixels.repeat_interleave(2, 0), pixels, torch.eye(2).repeat(4, 1))
    assert result.values["content_distance"] == pytest.approx(float(content.mean()), rel=1e-3)
    assert result.values["style_distance"] == pytest.approx(float(style.mean()), rel=1e-3)
    reduction = 1 - (content + 60 * style) / (60 * before)
    assert result.values["loss_reduction"] == pytest.approx(float(reduction.mean()), rel=1e-3)


def test_an_unchanged_photograph_has_lost_nothing(task: StyleNetwork) -> None:
    photograph = images(1).numpy()[0]
    found = task._judged(photograph, [photograph, photograph])
    assert found["loss_reduction"] == pytest.approx([0, 0], abs=1e-5)
    assert found["content_distance"] == pytest.approx([0, 0], abs=1e-9)


def test_statistics_under_resampling_equal_a_slow_loop(task: StyleNetwork) -> None:
    photographs = images(5).numpy()
    rows = measured(task, photographs).rows
    counts = np.concatenate(list(resampled_counts(5, 4)))
    fast = resampled("style_network", rows, counts, task.labels)
    for index, drawn in enumerate(counts.astype(int)):
        slow = measured(task, photographs[np.repeat(np.arange(5), drawn)]).values
        for name, values in fast.items():
            assert values[index] == pytest.approx(slow[name], rel=1e-4)


def test_the_graph_takes_images_and_mixes(task: StyleNetwork, section: Config, tmp_path: Path) -> None:
    card = ModelCard(section, Input(size=SIZE, channels=3), task.labels, "32", False, 1, "0" * 64)
    write_model(tmp_path / "model", task, card)
    graph = OnnxNetwork(tmp_path / "model/model.onnx")
    loaded, _ = read_model(tmp_path / "model")
    three = mix_of(task.styles, {"sea": 1.0, "night": 1.0}), np.eye(2, dtype=np.float32)
    for count, mixes in ((1, None), (3, None), (2, three[0]), (3, np.concatenate(three))):
        pixels = images(count)
        told = graph(pixels.numpy(), mixes)
        given = [] if mixes is None else [torch.from_numpy(mixes)]
        with torch.inference_mode():
            expected = loaded(pixels, *given)
            torch.testing.assert_close(expected["pictures"], task(pixels, *given)["pictures"])
        assert told["pictures"].shape == expected["pictures"].shape
        np.testing.assert_allclose(told["pictures"], expected["pictures"], atol=1e-3)
        np.testing.assert_allclose(told["mixes"], expected["mixes"])
    torch.testing.assert_close(loaded.judge.gram0, task.judge.gram0)


def test_a_training_learns_the_styles_the_same_each_time(
    section: Config, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Model.model_validate(
        {
            "dataset": "scenes",
            "task": section.model_dump(),
            "input": {"size": 16, "channels": 3},
            "optimizer": {"name": "adam", "lr": 0.01},
            "trainer": {"max_epochs": 2, "batch_size": 8, "threads": 1},
        }
    )
    written = []
    for folder in ("one", "two"):
        fitted = train(config, 3, scenes, tmp_path / folder)
        assert fitted.curves[-1]["val_loss"] < fitted.curves[0]["val_loss"]
        written.append([path.read_bytes() for path in sorted((tmp_path / folder).iterdir())])
    assert written[0] == written[1]
    predictor = load_predictor(tmp_path / "one", engine="onnx")
    store = SplitStore(scenes / "test")
    said = predictor.predictions([bytes(store.image(0))], mix_of(("sea", "night"), {"sea": 1.0, "night": 3.0}))
    assert said[0].pictures is not None
    assert {name: one.shape for name, one in said[0].pictures.items()} == {
        "sea-25+night-75": (*decoded_shape(store), 3)
    }


def decoded_shape(store: SplitStore) -> tuple[int, int]:
    return int(store.column("height")[0]), int(store.column("width")[0])
