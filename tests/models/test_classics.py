"""The lectures' networks: published sizes and shapes, and what single neurons can and cannot learn."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.models.classify.classics import (
    alexnet,
    alexnet_small,
    lcn_cnn,
    lenet5,
    mlp,
    mnist_cnn,
    neuron,
    perceptron,
)
from sightline.system.errors import UserError

CORNERS = torch.tensor(list(product([0.0, 1.0], repeat=2)))
TABLES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "size", "classes", "count"),
    [
        (lambda c, s, k: neuron(c, s), 28, 2, 785),
        (perceptron, 28, 2, 785),
        (perceptron, 28, 10, 7_850),
        (mlp, 28, 10, 101_770),
        (mnist_cnn, 28, 10, 421_642),
        (lenet5, 28, 10, 61_706),
        (lcn_cnn, 28, 10, 454_922),
        (alexnet_small, 28, 10, 613_642),
    ],
)
def test_parameter_counts_and_logits(
    build: Callable[[int, int, int], nn.Sequential], size: int, classes: int, count: int
) -> None:
    network = build(1, size, classes)
    assert parameters(network) == count
    assert network(torch.rand(2, 1, size, size)).shape == (2, classes)
    assert list(dict(network.named_children()))[-1] == "head"


@pytest.mark.parametrize("size", [224, 227])
def test_alexnet_has_the_2012_count(size: int) -> None:
    with torch.device("meta"):
        network = alexnet(3, size, 1000)
        assert network(torch.empty(2, 3, size, size)).shape == (2, 1000)
    assert parameters(network) == 60_965_224
    # https://papers.nips.cc/paper/4824: kernels of section 3.5
    assert network.conv2.weight.shape == (256, 48, 5, 5)
    assert network.conv4.weight.shape == (384, 192, 3, 3)
    assert network.conv5.weight.shape == (256, 192, 3, 3)
    assert [name for name, layer in network.named_children() if isinstance(layer, nn.Dropout)] == [
        "dropout1",
        "dropout2",
    ]


def test_alexnets_response_normalisation_is_the_papers() -> None:
    """Section 3.3: b_i = a_i / (k + alpha * sum of a_j^2 over n neighbouring maps) ^ beta."""
    with torch.device("meta"):
        norm = alexnet(3, 64, 10).norm1
    maps = 20 * torch.rand(1, 8, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(maps)
    for i in range(8):
        near = range(max(0, i - 2), min(7, i + 2) + 1)
        expected[:, i] = maps[:, i] / (2 + 1e-4 * sum(maps[:, j] ** 2 for j in near)) ** 0.75
    torch.testing.assert_close(norm(maps), expected)


def test_lenet5_has_the_papers_maps() -> None:
    """Figure 2, from C1 on; 28 pixels padded by 2 are its 32."""
    signal, shapes = torch.zeros(1, 1, 28, 28), {}
    for name, layer in lenet5(1, 28, 10).named_children():
        signal = layer(signal)
        shapes[name] = tuple(signal.shape[1:])
    assert shapes["conv1"] == (6, 28, 28)
    assert shapes["pool1"] == (6, 14, 14)
    assert shapes["conv2"] == (16, 10, 10)
    assert shapes["pool2"] == (16, 5, 5)
    assert (shapes["dense1"], shapes["dense2"], shapes["head"]) == ((120,), (84,), (10,))


@pytest.mark.parametrize(
    ("build", "least"), [(mnist_cnn, 4), (lenet5, 12), (lcn_cnn, 4), (alexnet_small, 15), (alexnet, 63)]
)
def test_the_least_size_works_and_one_pixel_less_is_told(build: Callable[..., nn.Sequential], least: int) -> None:
    with torch.device("meta"):
        assert build(1, least, 10)(torch.empty(1, 1, least, least)).shape == (1, 10)
    with pytest.raises(UserError, match=rf"input\.size: {least - 1}: .*{build.__name__}.* at least {least} px"):
        build(1, least - 1, 10)


@pytest.mark.parametrize("build", [mnist_cnn, lenet5, lcn_cnn, alexnet_small])
def test_any_activation_pooling_and_dropout(build: Callable[..., nn.Sequential]) -> None:
    with torch.device("meta"):
        network = build(3, 32, 5, activation="softsign", pooling="sum", dropout=0.3)
        assert network(torch.empty(1, 3, 32, 32)).shape == (1, 5)
    kinds = [type(layer).__name__ for layer in network.modules()]
    assert kinds.count("Softsign") >= 3
    assert kinds.count("SumPool2d") >= 2
    assert not {"ReLU", "Tanh", "MaxPool2d", "AvgPool2d"} & set(kinds)
    assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.3}


def test_mlp_has_the_hidden_layers_asked_for() -> None:
    network = mlp(1, 8, 3, hidden=[20, 30, 40], activation="elu", dropout=0.1)
    widths = [layer.out_features for layer in network if isinstance(layer, nn.Linear)]
    assert widths == [20, 30, 40, 3]
    assert sum(isinstance(layer, nn.ELU) for layer in network) == 3
    assert sum(isinstance(layer, nn.Dropout) for layer in network) == 3


def learn(network: nn.Module, loss: Callable[[Tensor], Tensor], rate: float, steps: int) -> None:
    """Plain gradient descent on all samples at once."""
    optimizer = torch.optim.SGD(network.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network(CORNERS[:, :, None, None])).backward()
        optimizer.step()


def said(network: nn.Module) -> list[int]:
    answers: list[int] = network(CORNERS[:, :, None, None]).argmax(1).tolist()
    return answers


@pytest.mark.parametrize("table", ["and", "or", "xor"])
@pytest.mark.parametrize("build", [neuron, lambda c, s: perceptron(c, s, 2)])
def test_one_neuron_learns_and_and_or_but_never_xor(build: Callable[[int, int], nn.Sequential], table: str) -> None:
    target = torch.tensor(TABLES[table])
    for seed in range(3):
        torch.manual_seed(seed)
        network = build(2, 1)
        learn(network, lambda logits: F.cross_entropy(logits, target), 2.0, 200)
        assert (said(network) == TABLES[table]) == (table != "xor")


def test_two_layers_learn_xor() -> None:
    torch.manual_seed(0)
    network = mlp(2, 1, 2, hidden=[8], activation="tanh")
    learn(network, lambda logits: F.cross_entropy(logits, torch.tensor(TABLES["xor"])), 1.0, 200)
    assert said(network) == TABLES["xor"]


def margins(logits: Tensor, table: str) -> Tensor:
    """N x 2 logits -> t z, with t = -1 or +1 for the two classes."""
    signs = 2 * torch.tensor(TABLES[table]) - 1
    return signs * (logits[:, 1] - logits[:, 0])


@pytest.mark.parametrize("table", ["and", "or", "xor"])
def test_rosenblatts_rule_stops_once_all_are_right_and_never_on_xor(table: str) -> None:
    """Gradient descent on mean max(0, -t z) is Rosenblatt's rule: wrong samples alone move the weights."""
    torch.manual_seed(0)
    network = perceptron(2, 1, 2)
    learn(network, lambda logits: F.relu(-margins(logits, table)).mean(), 1.0, 100)
    before = [p.clone() for p in network.parameters()]
    learn(network, lambda logits: F.relu(-margins(logits, table)).mean(), 1.0, 1)
    at_rest = all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    assert at_rest == (table != "xor")
    assert (said(network) == TABLES[table]) == (table != "xor")


def test_hebbs_rule_sums_inputs_times_outputs() -> None:
    """Gradient descent on mean -t z: one step from 0 makes the weights the mean of t x, whatever the output was."""
    network = perceptron(2, 1, 2)
    for p in network.parameters():
        nn.init.zeros_(p)
    learn(network, lambda logits: -margins(logits, "and").mean(), 1.0, 1)
    signs = torch.tensor([-1.0, -1.0, -1.0, 1.0])
    torch.testing.assert_close(network.head.weight[0], (signs[:, None] * CORNERS).mean(0))
    torch.testing.assert_close(network.head.bias[0], signs.mean())
    learn(network, lambda logits: -margins(logits, "and").mean(), 1.0, 1)
    torch.testing.assert_close(network.head.bias[0], 2 * signs.mean())  # it never stops
