"""Layer by layer: shapes, windows, parameters, multiply-adds and receptive fields, against other ways to find them."""

import copy
from functools import cache, partial
from itertools import pairwise, product
from math import ceil

import pytest
import timm
import torch
import torchinfo
import torchvision
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

from sightline.models.classify.classifiers import build_classifier
from sightline.models.inspect.inspection import Inspection, Layer, inspect_network
from sightline.system.errors import UserError


def built(architecture: str, channels: int, size: int, classes: int) -> nn.Module:
    with torch.device("meta"):  # drawing weights takes time
        return build_classifier(architecture, channels, size, classes).network


@cache
def inspected(architecture: str, channels: int = 3, size: int = 224, classes: int = 1000) -> Inspection:
    return inspect_network(built(architecture, channels, size, classes), (channels, size, size))


def row(inspection: Inspection, name: str) -> Layer:
    return next(layer for layer in inspection.layers if layer.name == name)


@pytest.mark.parametrize(
    ("architecture", "shape", "count"),
    [
        ("mnist_cnn", (1, 28, 10), 421_642),
        ("lenet5", (1, 28, 10), 61_706),
        ("alexnet", (3, 224, 1000), 60_965_224),
        ("torchvision:alexnet", (3, 224, 1000), 61_100_840),
        ("torchvision:vgg16", (3, 224, 1000), 138_357_544),
        ("torchvision:googlenet", (3, 224, 1000), 6_624_904),
        ("torchvision:resnet18", (3, 224, 1000), 11_689_512),
    ],
)
def test_parameters_are_the_published_ones(architecture: str, shape: tuple[int, int, int], count: int) -> None:
    found = inspected(architecture, *shape)
    assert found.parameters == found.trainable == count == sum(layer.parameters for layer in found.layers)
    assert found.parameter_bytes == 4 * count
    assert found.unused == 0


def test_auxiliary_heads_are_parameters_that_the_forward_pass_does_not_use() -> None:
    with torch.device("meta"):
        network = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    found = inspect_network(network, (3, 224, 224))
    assert found.parameters == 13_004_888
    assert found.unused == 13_004_888 - 6_624_904 == found.parameters - sum(layer.parameters for layer in found.layers)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "googlenet", "resnet18", "vit_b_16", "swin_t"])
def test_multiply_adds_are_those_that_torchvision_publishes(name: str) -> None:
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    found = inspected(f"torchvision:{name}")
    assert found.parameters == published["num_params"]
    assert found.multiply_adds / 1e9 == pytest.approx(published["_ops"], abs=6e-4)
    assert sum(layer.multiply_adds for layer in found.layers) == found.multiply_adds


@pytest.mark.parametrize(
    ("architecture", "channels", "size"),
    [
        ("mnist_cnn", 1, 28),
        ("torchvision:squeezenet1_1", 3, 64),
        ("torchvision:resnet18", 3, 64),
        ("timm:resnet10t", 3, 64),
    ],
)
def test_layers_are_torchinfos(architecture: str, channels: int, size: int) -> None:
    """torchinfo also counts additions of biases and the scales of normalisation; those are added here."""
    network = build_classifier(architecture, channels, size, 10).network
    theirs = torchinfo.summary(network, (1, channels, size, size), verbose=0, device="cpu", mode="eval")
    ours = inspect_network(network, (channels, size, size)).layers
    leaves = [layer for layer in theirs.summary_list if layer.is_leaf_layer]
    assert [layer.kind for layer in ours] == [leaf.class_name for leaf in leaves]
    for layer, leaf in zip(ours, leaves, strict=True):
        assert list(layer.output) == leaf.output_size[1:]
        assert layer.parameters == (0 if leaf.is_recursive else leaf.num_params)
        module = network.get_submodule(layer.name)
        positions = layer.output[1] * layer.output[2] if isinstance(module, nn.Conv2d) else 1
        others = module.bias if isinstance(module, nn.Conv2d | nn.Linear) else torch.ones(layer.parameters)
        assert layer.multiply_adds == leaf.macs - positions * (0 if others is None else others.numel())


def odd_windows() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, (1, 7), stride=(1, 2), padding=(0, 3)),
        nn.Conv2d(4, 4, 3, dilation=2, padding="same"),
        nn.Conv2d(4, 4, 4, padding="same"),  # one before, two after
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(4, 6, 3, stride=2, dilation=3, padding=2, groups=2, padding_mode="reflect"),
        nn.AvgPool2d(2, ceil_mode=True, padding=1),
        nn.MaxPool2d(3, 1, dilation=2),
        Conv2dSame(6, 6, 3, stride=2),
    )


NETWORKS = ["mnist_cnn", "lenet5", "alexnet", "torchvision:googlenet", "torchvision:squeezenet1_0", "timm:resnet10t"]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("architecture", [*NETWORKS, "odd"])
def test_windows_obey_the_formula_of_the_lecture(architecture: str) -> None:
    """W2 = (W1 - F + 2P) / S + 1, where P is half of what both sides add and F the length with dilation."""
    shape = (1, 28, 10) if architecture in ("mnist_cnn", "lenet5") else (3, 224, 1000)
    odd = architecture == "odd"
    network = odd_windows() if odd else built(architecture, *shape)
    found = inspect_network(network, (3, 99, 99)) if odd else inspected(architecture, *shape)
    checked = 0
    for layer in found.layers:
        module = network.get_submodule(layer.name)
        if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            assert layer.window is None
            continue
        assert layer.window is not None
        window, by_hand = layer.window, module.kernel_size
        assert window.kernel == (by_hand if isinstance(by_hand, tuple) else (by_hand, by_hand))
        for axis, (before, after) in enumerate(window.padding):
            length, stride = layer.input[1 + axis], window.stride[axis]
            f = window.dilation[axis] * (window.kernel[axis] - 1) + 1
            steps = (length - f + before + after) / stride
            expected = int(steps) + 1
            if getattr(module, "ceil_mode", False) and ceil(steps) * stride < length + before:
                expected = ceil(steps) + 1  # a last window that begins inside
            assert layer.output[1 + axis] == expected
        checked += 1
    assert checked >= 4


def with_positive_weights(network: nn.Module) -> nn.Module:
    """A copy in which nothing cancels: positive weights, maxima replaced by means of the same windows."""
    positive = copy.deepcopy(network).eval()
    for name, module in list(positive.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            parent, _, child = name.rpartition(".")
            mean = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            setattr(positive.get_submodule(parent), child, mean)
        if isinstance(module, nn.ReLU):
            module.inplace = False
    for parameter in positive.parameters():
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 1)
    return positive


Extent = tuple[int, int]


def extents(network: nn.Module, shape: tuple[int, int, int], names: list[str], around: int) -> dict[str, Extent]:
    """Rows and columns of the pixels that move an output of each layer: the most of those `around` the centre."""
    positive = with_positive_weights(network)
    outputs: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        outputs[name] = output[0].sum(0) if output.ndim == 4 else output[0].sum().view(1, 1)
        return output.clone()  # what follows may work in place

    for name in names:
        positive.get_submodule(name).register_forward_hook(partial(keep, name))
    image = torch.ones(1, *shape, requires_grad=True)
    positive(image)
    found = {}
    for name, values in outputs.items():
        sizes = []
        for i, j in product(*(range(max(n // 2 - around, 0), n // 2 + around + 1) for n in values.shape)):
            (gradient,) = torch.autograd.grad(values[i, j], image, retain_graph=True)
            moving = gradient[0].sum(0).nonzero()
            sizes.append((moving.amax(0) - moving.amin(0) + 1).tolist())
        height, width = (max(side) for side in zip(*sizes, strict=True))
        found[name] = (height, width)
    return found


def assert_fields_are_extents(
    network: nn.Module, shape: tuple[int, int, int], kinds: tuple[type[nn.Module], ...], around: int = 0
) -> None:
    fields: dict[str, Extent] = {}
    for layer in inspect_network(network, shape).layers:
        if isinstance(network.get_submodule(layer.name), kinds):
            assert layer.receptive_field is not None
            fields[layer.name] = shape[1:] if layer.receptive_field == "all" else layer.receptive_field
    assert len(fields) >= 5
    assert extents(network, shape, list(fields), around) == fields


def vgg_like() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((3, 4, 6, 8)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 5))


WINDOWS = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.Linear, nn.Upsample)


def test_receptive_fields_are_where_gradients_reach() -> None:
    assert_fields_are_extents(vgg_like(), (3, 80, 80), WINDOWS)
    assert_fields_are_extents(build_classifier("mnist_cnn", 1, 28, 10).network, (1, 28, 28), WINDOWS)
    thin = timm.create_model("resnet18", channels=(4, 4, 8, 8), num_classes=5)
    assert_fields_are_extents(thin, (3, 128, 128), (nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.Linear))


class Branches(nn.Module):
    """Windows of several shapes side by side, a skip with a window beside the middle, ways down and up again.

    Each way up meets a shifted image, so that a size tells where the way up looks, not only how far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 2, (1, 7), padding=(0, 3))
        self.dilated = nn.Conv2d(1, 2, 3, dilation=4, padding=4)
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.down = nn.Conv2d(4, 4, 4, stride=2, padding=1)
        self.aside = nn.Conv2d(4, 4, 2, stride=2)
        self.up = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)
        self.linear = nn.Upsample(scale_factor=2, mode="bilinear")
        self.cubic = nn.Upsample(scale_factor=2, mode="bicubic", align_corners=True)
        self.nearest = nn.Upsample(scale_factor=2)
        self.after_up = nn.Conv2d(4, 1, 1)
        self.after_linear = nn.Conv2d(5, 1, 1)
        self.after_nearest = nn.Conv2d(5, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        both = self.grouped(torch.cat([self.wide(image), self.dilated(image)], dim=1))
        low = self.down(both) + self.aside(both)
        shifted = F.pad(image, (30, -30, 30, -30))
        up = self.after_up(torch.cat([self.up(low), shifted], dim=1))
        linear = self.after_linear(torch.cat([self.linear(low), shifted], dim=1))
        nearest = self.after_nearest(torch.cat([self.nearest(low), shifted], dim=1))
        return up + linear + nearest + self.cubic(low).amax(1)


def test_receptive_fields_of_branches_and_of_ways_up() -> None:
    network = Branches()
    assert_fields_are_extents(network, (1, 100, 100), (nn.Conv2d, nn.ConvTranspose2d, nn.Upsample), around=1)
    found = inspect_network(network, (1, 100, 100))
    assert row(found, "wide").receptive_field == (1, 7)
    assert row(found, "dilated").receptive_field == (9, 9)
    assert row(found, "grouped").receptive_field == (11, 11)


def test_receptive_fields_are_those_of_the_papers() -> None:
    """Araujo, Norris and Sim 2019, table 1: AlexNet 195, VGG-16 212 at the last pool; ResNets are over the image."""
    alexnet = [layer for layer in inspected("torchvision:alexnet").layers if layer.window]
    assert [layer.receptive_field for layer in alexnet] == [(n, n) for n in (11, 19, 51, 67, 99, 131, 163, 195)]
    vgg = inspected("torchvision:vgg16")
    assert row(vgg, "features.30").receptive_field == (212, 212)
    assert row(vgg, "classifier.0").receptive_field == "all"


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)
        self.after = nn.Conv2d(4, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        values: Tensor = self.conv(image)
        return self.after(values * self.gate(values.mean((2, 3), keepdim=True)).sigmoid())


def test_gates_and_statistics_bring_in_the_whole_image() -> None:
    gated = inspect_network(Gated(), (1, 32, 32))
    assert [layer.receptive_field for layer in gated.layers] == [(3, 3), "all", "all"]
    normalised = inspect_network(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)), (1, 32, 32))
    assert [layer.receptive_field for layer in normalised.layers] == [(3, 3), "all"]


class Assigned(nn.Module):
    """Puts the maps of a convolution into parts of a new tensor, as shifts and circular padding do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.round = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")

    def forward(self, image: Tensor) -> Tensor:
        values = self.first(image)
        moved = torch.zeros_like(values)
        moved[:, :2] = values[:, 2:]
        moved[:, 2:] = values[:, :2]
        return self.round(moved)


def test_assigning_to_parts_is_followed() -> None:
    found = inspect_network(Assigned(), (1, 32, 32))
    # An output at the edge sees the other side of the image.
    assert [layer.receptive_field for layer in found.layers] == [(3, 3), "all"]


def test_shuffled_pixels_stay_where_they_are() -> None:
    """Three fine rows lie in two coarse ones, each of which sees three rows of pixels."""
    found = inspect_network(nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)), (1, 32, 32))
    assert [layer.receptive_field for layer in found.layers] == [(3, 3), (3, 3), (4, 4)]


def test_attention_is_a_row_of_its_own() -> None:
    """For n tokens of width d projections take 4 n d d multiply-adds, attention 2 n n d (Vaswani et al. 2017)."""
    torch.manual_seed(0)
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=5
    )
    found = inspect_network(network, (3, 32, 32))
    tokens = 17
    assert row(found, "patch_embed.proj").receptive_field == (8, 8)
    assert row(found, "blocks.0.attn.qkv").receptive_field == (8, 8)
    assert row(found, "blocks.0.attn.proj").receptive_field == "all"
    assert row(found, "blocks.1.attn").multiply_adds == 2 * tokens * tokens * 32
    assert row(found, "blocks.1.attn").parameters == 0
    last = found.layers[-1]  # the whole network: class token and positions
    assert (last.name, last.kind, last.parameters) == ("", "VisionTransformer", (tokens + 1) * 32)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(32, 4, batch_first=True)

        def forward(self, image: Tensor) -> Tensor:
            tokens: Tensor = image.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]

    (attention,) = inspect_network(Attention(), (32, 4, 4)).layers
    assert attention.multiply_adds == 4 * 16 * 32 * 32 + 2 * 16 * 16 * 32
    assert attention.parameters == sum(p.numel() for p in nn.MultiheadAttention(32, 4).parameters())
    assert (attention.input, attention.output, attention.receptive_field) == ((16, 32), (16, 32), "all")


def test_windowed_attention_sees_its_windows() -> None:
    """Swin (Liu et al. 2021): 7 x 7 patches of 4 pixels; the shifted windows beside touch four of the first."""
    found = inspected("torchvision:swin_t")
    assert row(found, "features.1.0.attn").receptive_field == (28, 28)
    assert row(found, "features.1.1.attn").receptive_field == (56, 56)


def test_a_layer_used_twice_has_two_rows_and_its_parameters_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)
            self.tied = nn.Conv2d(2, 2, 3, padding=1)
            self.tied.weight = self.conv.weight

        def forward(self, image: Tensor) -> Tensor:
            return self.tied(self.conv(self.conv(image)).relu())

    found = inspect_network(Twice(), (2, 16, 16))
    assert [(layer.name, layer.parameters) for layer in found.layers] == [("conv", 38), ("conv", 0), ("tied", 2)]
    assert [layer.receptive_field for layer in found.layers] == [(3, 3), (5, 5), (7, 7)]
    assert found.parameters == 40


def test_reparametrised_layers_are_one_row() -> None:
    network = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(1, 4, 3)), nn.ReLU())
    found = inspect_network(network, (1, 8, 8))
    assert [layer.parameters for layer in found.layers] == [4 * 9 + 4 + 4, 0]


def test_memory_counts_what_works_in_place_once() -> None:
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(), nn.Linear(4 * 36, 10)]
    assert inspect_network(nn.Sequential(*layers), (1, 8, 8)).activation_bytes == 4 * (4 * 36 + 10)


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 3))
    network[1].eval()
    network[0].weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    found = inspect_network(network, (1, 8, 8))
    assert found.parameters - found.trainable == 36
    assert [module.training for module in network] == [True, False, True, True, True]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert inspect_network(network, (1, 8, 8)) == found


def test_a_network_that_looks_at_numbers_is_run_on_some() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv(image) if image.sum().item() == 0 else image

    (layer,) = inspect_network(Choosing(), (1, 8, 8)).layers
    assert (layer.output, layer.multiply_adds, layer.receptive_field) == ((2, 6, 6), 2 * 36 * 9, (3, 3))


def test_an_image_that_does_not_fit_is_told() -> None:
    with pytest.raises(
        UserError, match=r"3 x 16 x 16: SqueezeNet does not accept such images \(.*\); try another size"
    ):
        inspect_network(torchvision.models.squeezenet1_0(weights=None), (3, 16, 16))
