"""Features of networks: hooks against the layers run by hand."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightline.data.structures import LabelMap
from sightline.system.errors import UserError
from sightline.tasks.classification import Classification
from sightline.training.features.network import NetworkExtractor
from sightline.training.features.pooling import normalised, pooled

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), dtype=np.uint8)


class Small(nn.Module):
    """Convolutions, an activation in place that is used twice, and a head that must never run."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.pair = nn.Module()
        self.head = nn.Linear(6, 3)
        self.heads_run = 0
        self.idle = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.second(self.activation(self.first(x))))
        self.heads_run += 1
        return self.head(x.mean((2, 3)))


def task() -> Classification:
    torch.manual_seed(0)
    return Classification(Small(), "head", LabelMap(("a", "b", "c"), ("a", "b", "c")), (0.5,), (0.5,))


def by_hand(network: Small) -> dict[str, Tensor]:
    x = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        first = network.first(x)
        second = network.second(first.relu())
        last = second.relu()
        return {"first": first, "second": second, "activation": last, "head": network.head(last.mean((2, 3)))}


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
def test_layers_are_what_they_put_out_before_the_next_works_in_place(pooling: str) -> None:
    own = task()
    expected = by_hand(own.network)  # type: ignore[arg-type]
    extractor = NetworkExtractor(own, ["second", "first", "activation", "head"], pooling, [1], 12, 1)  # type: ignore[arg-type]
    found = extractor(IMAGES)
    assert list(found) == ["second", "first", "activation", "head"]
    for name, vectors in found.items():
        values = expected[name]
        if values.ndim == 4:
            pool = {"avg": lambda v: v.mean((2, 3)), "max": lambda v: v.amax((2, 3)), "flatten": lambda v: v.flatten(1)}
            values = pool[pooling](values)
        np.testing.assert_allclose(vectors, values.numpy(), atol=1e-5)
        assert extractor.dimensions[name] == vectors.shape[1]
    if pooling == "flatten":
        assert (found["first"] < 0).any()  # the rectifier after it has not changed it


def test_the_pass_ends_after_the_deepest_layer() -> None:
    own = task()
    extractor = NetworkExtractor(own, ["second", "first"], "avg", [1], 12, 1)
    network = own.network
    before = network.heads_run
    extractor(IMAGES)
    assert network.heads_run == before


def test_one_image_gives_what_it_gives_among_others() -> None:
    extractor = NetworkExtractor(task(), ["activation"], "avg", [1], 12, 1)
    together = extractor(IMAGES)["activation"]
    alone = np.concatenate([extractor(IMAGES[i : i + 1])["activation"] for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_wrong_layers_are_told() -> None:
    with pytest.raises(UserError, match=r"extractor.layers: secnd: no such layer \(did you mean second\?\)"):
        NetworkExtractor(task(), ["secnd"], "avg", [1], 12, 1)
    with pytest.raises(UserError, match="zzzzzz: no such layer; there are first, activation, second"):
        NetworkExtractor(task(), ["zzzzzz"], "avg", [1], 12, 1)
    with pytest.raises(UserError, match="idle: the network does not use it"):
        NetworkExtractor(task(), ["idle"], "avg", [1], 12, 1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_a_layer_of_several_tensors_is_told() -> None:
    network = nn.Sequential()
    network.add_module("pair", Pair())
    network.add_module("first", nn.Identity())
    own = Classification(network, "", LabelMap(("a",), ("a",)), (0.5,), (0.5,))
    with pytest.raises(UserError, match="pair: outputs a tuple, not a tensor"):
        NetworkExtractor(own, ["pair"], "avg", [1], 12, 1)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_a_pyramid_pools_cells_apart(pooling: Literal["avg", "max"]) -> None:
    maps = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 3, 6, 6)).astype(np.float32))
    pool = np.mean if pooling == "avg" else np.max
    expected = [
        pool(maps[:, channel, row : row + 6 // cells, column : column + 6 // cells].numpy(), (1, 2))
        for cells in (1, 2, 3)
        for channel in range(3)
        for row in range(0, 6, 6 // cells)
        for column in range(0, 6, 6 // cells)
    ]
    found = pooled(maps.contiguous(memory_format=torch.channels_last), pooling, (1, 2, 3))
    np.testing.assert_allclose(found.numpy(), np.stack(expected, 1), atol=1e-6)


class Tokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mT


def test_a_pyramid_needs_places_enough() -> None:
    extractor = NetworkExtractor(task(), ["activation", "head"], "avg", [1, 2], 12, 1)
    assert extractor.dimensions == {"activation": 6 * (1 + 4), "head": 3}
    with pytest.raises(UserError, match=r"extractor.pyramid: 8: the map of second is only 7 x 7"):
        NetworkExtractor(task(), ["second"], "avg", [1, 8], 7, 1)
    network = nn.Sequential()
    network.add_module("tokens", Tokens())
    own = Classification(network, "", LabelMap(("a",), ("a",)), (0.5,), (0.5,))
    with pytest.raises(UserError, match=r"extractor.pyramid: tokens: outputs tokens, which have no height and width"):
        NetworkExtractor(own, ["tokens"], "avg", [1, 2], 12, 1)


def test_maps_may_have_their_channels_last() -> None:
    maps = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 3, 6, 6)).astype(np.float32))
    assert torch.equal(pooled(maps.permute(0, 2, 3, 1), "max", (1, 2)), pooled(maps, "max", (1, 2)))


def windowed() -> Classification:
    import timm

    name = "swin_tiny_patch4_window7_224"
    network = timm.create_model(name, depths=(1, 1), num_heads=(1, 2), embed_dim=8, img_size=56)
    return Classification(network, "", LabelMap(("a",), ("a",)), (0.5,) * 3, (0.5,) * 3)


def test_layers_of_a_transformer_with_windows() -> None:
    extractor = NetworkExtractor(windowed(), ["layers.0", "layers.1"], "avg", [1, 2], 56, 3)
    assert extractor.dimensions == {"layers.0": 8 * 5, "layers.1": 16 * 5}
    with pytest.raises(UserError, match=r"attn: outputs 4 x 49 x 8 for 1 image\(s\), not a vector"):
        NetworkExtractor(windowed(), ["layers.0.blocks.0.attn"], "avg", [1], 56, 3)


def test_tokens_are_pooled_over_their_number() -> None:
    tokens = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(pooled(tokens, "avg"), tokens.mean(1))
    assert torch.equal(pooled(tokens, "max"), tokens.amax(1))
    assert pooled(tokens, "flatten").shape == (2, 12)
    vectors = torch.arange(6.0).reshape(2, 3)
    copy = pooled(vectors, "avg")
    vectors.zero_()
    assert copy.sum() == 15


def test_normalisation_goes_in_the_given_order() -> None:
    vectors = np.array([[3.0, -4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(normalised(vectors, ["l2"]), [[0.6, -0.8], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(normalised(vectors, ["signed_sqrt"]), [[3**0.5, -2], [0, 0]], atol=1e-6)
    both = normalised(vectors, ["signed_sqrt", "l2"])
    np.testing.assert_allclose(both[0], [(3 / 7) ** 0.5, -((4 / 7) ** 0.5)], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_library_network_comes_back_with_its_weights(tmp_path: Path, channels: int) -> None:
    from sightline.config.features import Features
    from sightline.training.features.building import build_features, read_features

    section = Features.model_validate(
        {
            "dataset": "d",
            "weights": "random",
            "input": {"size": 32, "channels": channels},
            "extractor": {"kind": "network", "architecture": "timm:resnet10t", "layers": ["layer1", "fc"]},
            "normalize": ["l2"],
        }
    )
    made = build_features(section, 3)
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, channels), dtype=np.uint8)
    made.write(tmp_path)
    again = read_features(tmp_path)
    for name, vectors in made(images).items():
        np.testing.assert_array_equal(again(images)[name], vectors)
    assert made.dimensions["fc"] == 1000
    np.testing.assert_allclose(np.linalg.norm(made(images)["layer1"], axis=1), 1, atol=1e-5)
    assert not np.array_equal(build_features(section, 4)(images)["fc"], made(images)["fc"])
    (tmp_path / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match=r"weights.safetensors: does not match extractor.json"):
        read_features(tmp_path)


def test_the_last_layer_of_a_file_is_kept_whatever_its_classes(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from sightline.config.features import Features
    from sightline.models.classify.classifiers import build_classifier
    from sightline.training.features.building import build_features

    torch.manual_seed(0)
    network = build_classifier("torchvision:squeezenet1_1", 3, 64, 7).network.eval()
    save_file(network.state_dict(), tmp_path / "seven.safetensors")
    values = {
        "dataset": "d",
        "weights": "seven.safetensors",
        "input": {"size": 64, "channels": 3},
        "extractor": {"kind": "network", "architecture": "torchvision:squeezenet1_1", "layers": ["classifier.1"]},
    }
    features = build_features(Features.model_validate(values), 0, tmp_path)
    assert features.dimensions == {"classifier.1": 7}
    wrong = {**values, "extractor": {**values["extractor"], "architecture": "torchvision:mobilenet_v2"}}  # type: ignore[dict-item]
    with pytest.raises(UserError, match="does not fit torchvision:mobilenet_v2"):
        build_features(Features.model_validate(wrong), 0, tmp_path)
    missing = {**values, "weights": "nothing.pth"}
    with pytest.raises(UserError, match=r"nothing.pth: no such file"):
        build_features(Features.model_validate(missing), 0, tmp_path)
