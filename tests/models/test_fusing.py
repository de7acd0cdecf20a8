"""Fused networks compute the same function; what must not be fused is left alone."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from sightline.models.classify.classifiers import build_classifier
from sightline.models.fusing import fuse_batch_norms


def learned(network: nn.Module) -> nn.Module:
    """Give normalisations statistics and weights as after training."""
    random = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.normal_(0, 0.5, generator=random)
            norm.running_var.uniform_(0.5, 2, generator=random)
            with torch.no_grad():
                norm.weight.uniform_(0.5, 1.5, generator=random)
                norm.bias.normal_(0, 0.5, generator=random)
    return network.eval().requires_grad_(False)


def outputs(network: nn.Module, name: str, images: Tensor) -> list[Tensor]:
    """What a module puts out, and what the network does."""
    found: list[Tensor] = []
    hook = network.get_submodule(name).register_forward_hook(lambda *known: found.append(known[-1].clone()))
    found.append(network(images))
    hook.remove()
    return found


@pytest.mark.parametrize(
    ("architecture", "fused", "layer"),
    [
        ("torchvision:mobilenet_v2", 52, "features.7"),
        ("timm:resnet18", 20, "layer2.0.bn1"),
        ("timm:efficientnet_lite0", 49, "blocks.1.0.bn2.act"),  # normalises and activates in one module
        ("timm:vit_tiny_patch16_224", 0, "blocks.1.norm1"),
    ],
)
def test_a_fused_network_puts_out_the_same(architecture: str, fused: int, layer: str) -> None:
    torch.manual_seed(0)
    size = 224 if "vit" in architecture else 64
    whole = learned(build_classifier(architecture, 3, size, 10).network)
    images = torch.randn(4, 3, size, size)
    own = copy.deepcopy(whole)
    assert fuse_batch_norms(own, lambda: own(images)) == fused
    assert sum(isinstance(module, nn.BatchNorm2d) for module in own.modules()) == 0
    for before, after in zip(outputs(whole, layer, images), outputs(own, layer, images), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


def test_a_convolution_whose_output_is_wanted_is_left_alone() -> None:
    whole = learned(build_classifier("timm:resnet18", 3, 64, 10).network)
    own, images = copy.deepcopy(whole), torch.randn(2, 3, 64, 64)
    assert fuse_batch_norms(own, lambda: own(images), ["layer1.0.conv1", "layer1.0.bn1", "layer2"]) == 19
    for name in ("layer1.0.conv1", "layer1.0.bn1", "layer2"):
        before, after = outputs(whole, name, images)[0], outputs(own, name, images)[0]
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


class Unusual(nn.Module):
    """Two normalisations read one convolution; another convolution is used twice; batch statistics; an `if`."""

    def __init__(self, asks: bool = False) -> None:
        super().__init__()
        self.asks = asks
        self.read_twice, self.first, self.second = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.used_twice, self.third = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.plain, self.of_batch = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)
        self.fusible, self.fourth = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        if self.asks and images.sum() > 0:
            images = -images
        read = self.read_twice(images)
        both = self.first(read) + self.second(read)
        twice = self.used_twice(self.third(self.used_twice(both)))
        return self.fourth(self.fusible(self.of_batch(self.plain(twice))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("asks", [False, True])
def test_only_pairs_that_nothing_else_reads_are_fused(asks: bool) -> None:
    whole = learned(Unusual(asks))
    own, images = copy.deepcopy(whole), torch.randn(2, 3, 8, 8)
    assert fuse_batch_norms(own, lambda: own(images)) == (0 if asks else 1)
    torch.testing.assert_close(own(images), whole(images), rtol=1e-4, atol=1e-4)
    assert list(dict(own.named_modules())) == list(dict(whole.named_modules()))


def test_other_threads_compute_meanwhile() -> None:
    whole = learned(build_classifier("timm:resnet18", 3, 64, 10).network)
    own, images = copy.deepcopy(whole), torch.randn(2, 3, 64, 64)
    found: list[Tensor] = []

    def run() -> None:
        own(images)
        with ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(whole, images).result())

    assert fuse_batch_norms(own, run) == 20
    assert torch.equal(found[0], whole(images))
