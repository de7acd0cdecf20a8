"""Which parameters learn, how fast, and with how much decay."""

import pytest
import timm
import torch
from torch import nn
from torchvision.models import squeezenet1_1

from sightline.config.optimizers import AdamW, Sgd
from sightline.models.detect.feature_pyramid import build_body
from sightline.models.heatmaps import HeatmapNetwork
from sightline.training.depth import keep_batch_statistics, layer_groups
from sightline.training.optimizers import build_optimizer, parameter_groups


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)
    )


def test_layers_are_counted_from_the_input() -> None:
    assert layer_groups(small(), "6") == {
        "0.weight": 0,
        "0.bias": 0,
        "1.weight": 0,
        "1.bias": 0,
        "3.weight": 1,
        "3.bias": 1,
        "6.weight": 2,
        "6.bias": 2,
    }


def test_a_new_head_learns_its_statistics_where_given_ones_are_kept() -> None:
    """With those that it begins with, key points were nowhere after any number of epochs."""
    network = HeatmapNetwork(build_body("timm:test_resnet", 3, 64, [32], "random"), 2, 32, 4).train()
    before = {name: values.clone() for name, values in network.body.named_buffers()}
    keep_batch_statistics(network, "head")
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert {name for name, layer in layers.items() if layer.training} == {"head.1", "head.4", "head.7"}
    assert len(layers) > 3
    network(torch.rand(4, 3, 64, 64))
    assert layers["head.7"].running_var is not None
    assert float((layers["head.7"].running_var - 1).abs().max()) > 0.01
    assert all(torch.equal(values, before[name]) for name, values in network.body.named_buffers())


@pytest.mark.parametrize(
    ("network", "head"),
    [
        (timm.create_model("resnet10t"), "fc"),
        (squeezenet1_1(), "classifier.1"),
    ],
)
def test_the_head_is_the_topmost_layer(network: nn.Module, head: str) -> None:
    depth = layer_groups(network, head)
    assert set(depth) == {name for name, _ in network.named_parameters()}
    top = max(depth.values())
    assert {name for name, layer in depth.items() if layer == top} == {f"{head}.weight", f"{head}.bias"}
    assert set(depth.values()) == set(range(top + 1))
    first = next(iter(depth))
    assert depth[first] == 0


def test_norms_and_biases_do_not_decay() -> None:
    network = small()
    groups = parameter_groups(network, "6", 0.1, 0.05, 1.0)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert decay[id(parameter)] == (0.05 if name in ("0.weight", "3.weight", "6.weight") else 0.0)


def test_decay_without_gradient_shrinks_weights_only() -> None:
    network = small()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = build_optimizer(AdamW(name="adamw", lr=0.1, weight_decay=0.5), network, "6")
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        factor = 0.95 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_rates_fall_from_the_head_down() -> None:
    network = small()
    optimizer = build_optimizer(Sgd(name="sgd", lr=0.8, layer_decay=0.5), network, "6")
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    told = {name: rate[id(p)] for name, p in network.named_parameters()}
    assert told["6.weight"] == told["6.bias"] == pytest.approx(0.8)
    assert told["3.weight"] == pytest.approx(0.4)
    assert told["0.weight"] == told["1.bias"] == pytest.approx(0.2)


def test_the_first_layer_gets_its_share_whatever_the_depth() -> None:
    network = small()
    optimizer = build_optimizer(Sgd(name="sgd", lr=0.8, input_lr=0.25), network, "6")
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    told = {name: rate[id(p)] for name, p in network.named_parameters()}
    assert told["6.weight"] == pytest.approx(0.8)
    assert told["3.weight"] == pytest.approx(0.4)
    assert told["0.weight"] == pytest.approx(0.2)
