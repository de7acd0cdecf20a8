"""Outputs of layers, and which layers the structure of a network suggests."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from sightline.labs.stylize.networks import Backbone
from sightline.models.style.layers import LayerOutputs, default_layers, with_average_pooling
from sightline.system.errors import UserError


class Residual(nn.Module):
    """One ReLU that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x + self.second(self.relu(self.first(x))))


def test_the_last_use_of_a_layer_counts() -> None:
    network, image = Residual(), torch.rand(1, 3, 5, 5)
    outputs = LayerOutputs(network, ["relu", "first"], image)
    for _ in range(2):  # and again
        found = outputs(image)
        assert torch.equal(found["relu"], network(image))
        assert torch.equal(found["first"], network.first(image))


def test_gradients_flow_to_the_image(backbone: Backbone) -> None:
    image = torch.rand(1, 3, 24, 24, requires_grad=True)
    LayerOutputs(backbone.network, ["body.4"], image.detach())(image)["body.4"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("layer", "size", "told"),
    [
        ("body.44", 24, "layers: 'body.44': no such layer (did you mean body.4"),
        ("xyz", 24, "no such layer; there are body.0, body.1"),
        ("", 24, "layers: '': no such layer"),
        ("head", 20, "layers: head: the network does not reach it with an image of 20 x 20 px"),
    ],
)
def test_wrong_layers_are_told_in_a_line(backbone: Backbone, layer: str, size: int, told: str) -> None:
    with pytest.raises(UserError) as error:
        LayerOutputs(backbone.network, [layer], torch.zeros(1, 3, size, size))
    assert len(error.value.lines) == 1
    assert told in error.value.lines[0]


def test_layers_before_a_dense_layer_of_another_size_can_be_used(backbone: Backbone) -> None:
    image = torch.zeros(1, 3, 20, 28)
    assert LayerOutputs(backbone.network, ["body.7"], image)(image)["body.7"].shape == (1, 16, 5, 7)


@pytest.mark.parametrize(
    ("name", "content", "shallow", "deep"),
    [
        ("squeezenet1_0", "features.8", "features.1", "features.12"),
        ("vgg11", "features.14", "features.1", "features.19"),
        ("mobilenet_v2", "features.5", "features.0.2", "features.18.2"),
        ("resnet18", "layer2.1", "relu", "layer4.1"),
    ],
)
def test_default_layers_come_from_the_structure(name: str, content: str, shallow: str, deep: str) -> None:
    with torch.device("meta"):
        network = models.get_model(name).eval()
        found = default_layers(network, torch.empty(1, 3, 224, 224))
    assert (found.content, found.style[0], found.style[-1]) == (content, shallow, deep)
    modules = dict(network.named_modules())
    assert all(layer in modules for layer in (*found.style, found.dream))
    assert not [layer for layer in found.style if layer.startswith(("classifier", "fc"))]


def test_average_pooling_takes_the_place_of_max_pooling(backbone: Backbone) -> None:
    image = torch.rand(1, 3, 24, 24)
    body = backbone.network.get_submodule("body")
    before = body[:2](image)  # type: ignore[index]
    with_average_pooling(backbone.network)
    assert torch.allclose(body[:3](image), before.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)))  # type: ignore[index]
    with pytest.raises(UserError, match="no max pooling layer"):
        with_average_pooling(backbone.network)
