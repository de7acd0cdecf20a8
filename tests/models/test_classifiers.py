"""Classifiers by name: sizes, heads, and weights from files."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sightline.errors import UserError
from sightline.models.classifiers import build_classifier
from sightline.models.weights import is_folded


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
    with pytest.raises(UserError, match="holds more than tensors"):
        build_classifier("mlp", 1, 28, 10, weights=tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("torchvision:resnet19", "did you mean resnet1"),
        ("timm:resnet10x", "did you mean resnet10t"),
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
