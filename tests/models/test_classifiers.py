"""Classifiers by name: sizes, heads, and weights from files."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn

from sightline.config.network import LECTURE_NETWORKS, Network
from sightline.models.classify.classifiers import LECTURE, build_classifier
from sightline.models.classify.initialisation import Initialisation
from sightline.models.classify.layers import Activation, Pooling
from sightline.models.weights import is_folded, read_weights
from sightline.system.errors import UserError


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_are_the_published_ones() -> None:
    assert parameters(build_classifier("mnist_cnn", 1, 28, 10).network) == 421_642
    assert parameters(build_classifier("mlp", 1, 28, 10).network) == 784 * 128 + 128 + 128 * 10 + 10
    assert parameters(build_classifier("torchvision:resnet18", 3, 64, 1000).network) == 11_689_512


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "architecture",
    [
        "mlp",
        "mnist_cnn",
        "torchvision:resnet18",
        "torchvision:squeezenet1_1",
        "torchvision:mobilenet_v3_small",
        "timm:resnet10t",
    ],
)
def test_any_network_takes_the_input_and_gives_the_classes(architecture: str, channels: int) -> None:
    built = build_classifier(architecture, channels, 64, 7)
    logits = built.network.eval()(torch.zeros(2, channels, 64, 64))
    assert logits.shape == (2, 7)
    head = built.network.get_submodule(built.head)
    assert isinstance(head, nn.Linear | nn.Conv2d)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("architecture", ["torchvision:squeezenet1_1", "timm:resnet10t", "mnist_cnn"])
def test_weights_from_a_file_are_in_the_network(tmp_path: Path, architecture: str, suffix: str) -> None:
    torch.manual_seed(0)
    source = build_classifier(architecture, 3, 64, 10 if architecture == "mnist_cnn" else 1000)
    file = tmp_path / f"w.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in source.network.state_dict().items()}}, file)
    else:
        from safetensors.torch import save_file

        save_file(source.network.state_dict(), file)
    loaded = build_classifier(architecture, 3, 64, 10, weights=file)
    theirs, ours = source.network.state_dict(), loaded.network.state_dict()
    body = [key for key in theirs if not key.startswith(source.head)]
    assert body
    assert all(torch.equal(theirs[key], ours[key]) for key in body)


def test_weights_that_do_not_fit_are_told_by_key(tmp_path: Path) -> None:
    network = build_classifier("mnist_cnn", 1, 28, 10).network
    state = network.state_dict()
    state["conv9.weight"] = state.pop("conv1.weight")
    state["head.bias"] = torch.zeros(3)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError) as error:
        build_classifier("mnist_cnn", 1, 28, 10, weights=tmp_path / "w.pth")
    (line,) = error.value.lines
    for told in ("missing conv1.weight", "unknown conv9.weight", "head.bias is (3,), expected (10,)", "w.pth"):
        assert told in line


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_a_pickle_is_not_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"w": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="contains more than tensors"):
        build_classifier("mlp", 1, 28, 10, weights=tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


def test_anything_else_is_no_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("hello")
    with pytest.raises(UserError, match=r"page.pth: not a file of weights"):
        read_weights(tmp_path / "page.pth")


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("torchvision:resnet19", "did you mean resnet1"),
        ("timm:resnet10x", "did you mean resnet10t"),
        ("lenet", "did you mean lenet5"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(architecture: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_classifier(architecture, 3, 64, 10)


def test_missing_and_damaged_weight_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        build_classifier("mlp", 1, 28, 10, weights=tmp_path / "none.pth")
    (tmp_path / "bad.pth").write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"bad\.pth"):
        build_classifier("mlp", 1, 28, 10, weights=tmp_path / "bad.pth")


def test_grey_input_sees_what_rgb_saw() -> None:
    torch.manual_seed(0)
    state = build_classifier("torchvision:squeezenet1_1", 3, 64, 1000).network
    grey = torch.rand(1, 1, 64, 64)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        torch.save(state.state_dict(), Path(folder) / "w.pth")
        one = build_classifier("torchvision:squeezenet1_1", 1, 64, 1000, weights=Path(folder) / "w.pth").network
    torch.testing.assert_close(one.eval()(grey), state.eval()(grey.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_folded_batch_normalisation_is_seen() -> None:
    network = build_classifier("timm:resnet10t", 3, 32, 10).network
    assert is_folded(network)  # as built: nothing learned yet
    network.train()(torch.rand(2, 3, 32, 32))
    assert not is_folded(network)
    assert not is_folded(build_classifier("mlp", 1, 8, 10).network)


def test_the_configuration_has_the_same_words() -> None:
    assert LECTURE == LECTURE_NETWORKS
    fields = Network.model_fields
    for name, words in (("activation", Activation), ("initialisation", Initialisation), ("pooling", Pooling)):
        allowed, _ = get_args(fields[name].annotation)
        assert get_args(allowed) == get_args(words)


@pytest.mark.parametrize("architecture", LECTURE)
def test_every_network_of_the_lecture_is_built_by_its_word(architecture: str) -> None:
    classes = 2 if architecture == "neuron" else 10
    with torch.device("meta"):
        built = build_classifier(architecture, 3, 64, classes)
        assert built.network(torch.empty(1, 3, 64, 64)).shape == (1, classes)
    assert isinstance(built.network.get_submodule(built.head), nn.Linear)


def test_options_reach_the_network() -> None:
    network = build_classifier("mlp", 1, 8, 10, hidden=[5, 6], activation="elu", dropout=0.25).network
    assert [layer.out_features for layer in network if isinstance(layer, nn.Linear)] == [5, 6, 10]
    assert sum(isinstance(layer, nn.ELU) for layer in network) == 2
    assert {layer.p for layer in network if isinstance(layer, nn.Dropout)} == {0.25}
    assert type(build_classifier("lenet5", 1, 28, 10, pooling="max").network.pool1) is nn.MaxPool2d
    assert build_classifier("alexnet_small", 1, 28, 10).network.dropout1.p == 0.5
    assert build_classifier("alexnet_small", 1, 28, 10, dropout=0.0).network.dropout1.p == 0


def stochastic_rates(network: nn.Module) -> list[float]:
    names = {"StochasticDepth": "p", "DropPath": "drop_prob"}
    return [getattr(layer, names[type(layer).__name__]) for layer in network.modules() if type(layer).__name__ in names]


def test_stochastic_depth_grows_from_block_to_block() -> None:
    network = build_classifier("torchvision:efficientnet_b0", 3, 32, 10, stochastic_depth=0.32).network
    rates = stochastic_rates(network)
    assert rates == pytest.approx([0.32 * block / 16 for block in range(1, 17)])
    rates = stochastic_rates(build_classifier("timm:resnet10t", 3, 32, 10, stochastic_depth=0.3).network)
    assert rates == pytest.approx([0.1, 0.2, 0.3])
    own = build_classifier("torchvision:efficientnet_b0", 3, 32, 10).network
    assert max(stochastic_rates(own)) == pytest.approx(0.2 * 15 / 16)


def test_dropout_of_library_networks() -> None:
    def rates(dropout: float | None) -> set[float]:
        network = build_classifier("torchvision:mobilenet_v2", 3, 32, 10, dropout=dropout).network
        return {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)}

    assert (rates(None), rates(0.0), rates(0.4)) == ({0.2}, {0.0}, {0.4})
    assert build_classifier("timm:resnet10t", 3, 32, 10, dropout=0.4).network.drop_rate == 0.4


@pytest.mark.parametrize("architecture", ["lenet5", "torchvision:squeezenet1_1", "timm:resnet10t"])
def test_initialisation_applies_to_every_kind_of_network(architecture: str) -> None:
    torch.manual_seed(0)
    network = build_classifier(architecture, 1, 32, 10, initialisation="he").network
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.numel() > 2000:
            inputs = layer.weight[0].numel()
            assert layer.weight.var().item() == pytest.approx(2 / inputs, rel=0.2)
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize(
    ("architecture", "options", "told"),
    [
        ("neuron", {}, "task.architecture: neuron: .* not 10; use perceptron"),
        ("perceptron", {"activation": "tanh"}, "task.activation: tanh: perceptron has none"),
        ("perceptron", {"dropout": 0.5}, "task.dropout: 0.5: perceptron has none"),
        ("mlp", {"pooling": "max"}, "task.pooling: max: mlp has none"),
        ("mnist_cnn", {"hidden": [10]}, r"task.hidden: \[10\]: mnist_cnn has none"),
        ("torchvision:resnet18", {"activation": "relu"}, "task.activation: relu: torchvision:resnet18 defines it"),
        ("timm:resnet10t", {"hidden": []}, r"task.hidden: \[\]: timm:resnet10t defines it"),
        ("mlp", {"stochastic_depth": 0.1}, "task.stochastic_depth: 0.1: mlp has none"),
        ("torchvision:resnet18", {"stochastic_depth": 0.1}, "task.stochastic_depth: 0.1: ResNet has none"),
        ("timm:densenet121", {"stochastic_depth": 0.1}, "task.stochastic_depth: 0.1: timm:densenet121 has none"),
        ("torchvision:resnet18", {"dropout": 0.1}, "task.dropout: 0.1: ResNet has no dropout layer"),
        (
            "mlp",
            {"initialisation": "he", "weights": Path("w.pth")},
            "task.initialisation: he: only for random weights, but weights is w.pth",
        ),
        ("mlp", {"weights": "pretrained"}, "mlp: weights: pretrained: not available"),
    ],
)
def test_options_that_do_not_fit_are_told_by_field(architecture: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        build_classifier(architecture, 3, 32, 10, **options)
    assert len(error.value.lines) == 1


@pytest.mark.parametrize(
    ("architecture", "least"),
    [
        ("torchvision:alexnet", 63),
        ("torchvision:vgg11", 32),
        ("torchvision:googlenet", 15),
        ("torchvision:inception_v3", 75),
        ("torchvision:densenet121", 29),
    ],
)
def test_sizes_too_small_for_a_library_network_are_told_with_the_least(architecture: str, least: int) -> None:
    with torch.device("meta"):
        build_classifier(architecture, 1, least, 10)
        with pytest.raises(UserError, match=rf"input.size: {least - 1}: {architecture} needs at least {least} px"):
            build_classifier(architecture, 1, least - 1, 10)


def test_sizes_that_do_not_fit_patches_are_told() -> None:
    with pytest.raises(UserError, match=r"input.size: 28: torchvision:vit_b_32 was published for 224 px"):
        build_classifier("torchvision:vit_b_32", 3, 28, 10)
    with pytest.raises(UserError, match=r"input.size: 8: timm:vit_tiny_patch16_224 was published for 224 px"):
        build_classifier("timm:vit_tiny_patch16_224", 3, 8, 10)


def test_vision_transformers_are_built_for_the_input() -> None:
    network = build_classifier("timm:vit_tiny_patch16_224", 1, 32, 10).network
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 10)
    with torch.device("meta"):
        assert build_classifier("torchvision:vit_b_32", 1, 64, 10).network(torch.empty(1, 1, 64, 64)).shape == (1, 10)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("torchvision:vgg11", 32),
        ("torchvision:googlenet", 32),
        ("torchvision:inception_v3", 75),
        ("torchvision:resnet18", 32),
    ],
)
def test_library_networks_train_on_small_grey_images(architecture: str, size: int) -> None:
    with torch.device("meta"):
        network = build_classifier(architecture, 1, size, 10).network
        assert network.training
        logits = network(torch.empty(2, 1, size, size))
        assert logits.shape == (2, 10)
        logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_size_is_tried_without_a_trace() -> None:
    torch.manual_seed(0)
    network = build_classifier("torchvision:squeezenet1_1", 1, 32, 10).network
    batches = [buffer for name, buffer in build_classifier("timm:resnet10t", 1, 32, 10).network.named_buffers()]
    assert network.training
    assert all(not p.is_meta for p in network.parameters())
    assert all(int(buffer) == 0 for buffer in batches if buffer.dtype == torch.int64)


def test_published_weights_come_without_auxiliary_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import GoogLeNet_Weights, googlenet

    torch.manual_seed(0)
    published = googlenet(weights=None, init_weights=False).state_dict()
    assert any(key.startswith("aux") for key in published)
    monkeypatch.setattr(GoogLeNet_Weights, "get_state_dict", lambda self: published)
    built = build_classifier("torchvision:googlenet", 3, 32, 1000, weights="pretrained")
    own = built.network.state_dict()
    assert torch.equal(own["conv1.conv.weight"], published["conv1.conv.weight"])
    assert not torch.equal(own["fc.weight"], published["fc.weight"])  # a new head, also for as many classes
    assert not any(key.startswith("aux") for key in own)


def test_weights_that_cannot_be_fetched_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import SqueezeNet1_1_Weights

    def offline(self: object) -> None:
        raise OSError("no route\nmore lines")

    monkeypatch.setattr(SqueezeNet1_1_Weights, "get_state_dict", offline)
    told = r"torchvision:squeezenet1_1: weights: pretrained: .*\(no route\); go online, or put the file"
    with pytest.raises(UserError, match=told):
        build_classifier("torchvision:squeezenet1_1", 3, 32, 10, weights="pretrained")
