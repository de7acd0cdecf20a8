"""The networks of the lectures, from one neuron to AlexNet, in plain torch.nn.

Each takes N x `channels` x `size` x `size` float32 and gives N x `classes` logits; its last layer is named `head`.
Dropout follows each hidden dense layer (Hinton et al. 2012). Weights are drawn as torch draws them, uniform within
1 / sqrt(inputs); the papers' own ways are not followed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from sightline.models.classify.layers import (
    Activation,
    LocalContrastNorm,
    Pooling,
    Rectification,
    TwoClassUnit,
    activation_layer,
    pooling_layer,
)
from sightline.system.errors import UserError


def neuron(channels: int, size: int) -> nn.Sequential:
    """Pixels - one unit; 785 parameters on 28 x 28 x 1.

    N x `channels` x `size` x `size` float32 -> N x 2 logits (0, z): softmax of them is the logistic neuron. McCulloch
    and Pitts 1943, with weights that learn.
    """
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), head=TwoClassUnit(channels * size * size)))


def perceptron(channels: int, size: int, classes: int) -> nn.Sequential:
    """Pixels - one unit per class; 7,850 parameters on 28 x 28 x 1 with ten classes, 785 with two.

    Rosenblatt 1958. Two classes share one unit, as in `neuron`.
    """
    pixels = channels * size * size
    head = TwoClassUnit(pixels) if classes == 2 else nn.Linear(pixels, classes)
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), head=head))


def mlp(
    channels: int,
    size: int,
    classes: int,
    hidden: Sequence[int] = (128,),
    activation: Activation = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Pixels - hidden units - classes; 101,770 parameters on 28 x 28 x 1 with ten classes and 128 hidden units.

    Multi-layer perceptron, Rumelhart, Hinton and Williams 1986.

    Args:
        channels: of the input.
        size: height and width of the input, pixels.
        classes: number of logits.
        hidden: units of each hidden layer, from the input on.
        activation: of the hidden units.
        dropout: share of hidden units that are silent in a step of training.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    inputs = channels * size * size
    for number, units in enumerate(hidden, start=1):
        layers |= _dense(number, inputs, units, activation, dropout)
        inputs = units
    layers["head"] = nn.Linear(inputs, classes)
    return nn.Sequential(layers)


def mnist_cnn(
    channels: int,
    size: int,
    classes: int,
    activation: Activation = "relu",
    pooling: Pooling = "max",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Conv 32 - pool - conv 64 - pool - dense 128 - classes; 421,642 parameters on 28 x 28 x 1 with ten classes.

    3 x 3 kernels, padded to keep the size, as in the lecture's Keras program; the plan is that of LeNet-5
    (LeCun et al. 1998).

    Raises:
        UserError: `size` is less than 4.
    """
    _require_size("mnist_cnn", size, 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 3, padding=1),
            activation1=activation_layer(activation),
            pool1=pooling_layer(pooling, 2, 2),
            conv2=nn.Conv2d(32, 64, 3, padding=1),
            activation2=activation_layer(activation),
            pool2=pooling_layer(pooling, 2, 2),
            flatten=nn.Flatten(),
            **_dense(1, 64 * (size // 4) ** 2, 128, activation, dropout),
            head=nn.Linear(128, classes),
        )
    )


def lenet5(
    channels: int,
    size: int,
    classes: int,
    activation: Activation = "tanh",
    pooling: Pooling = "average",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Conv 6 - pool - conv 16 - pool - dense 120 - dense 84 - classes: LeNet-5; 61,706 parameters.

    The count is for 28 x 28 x 1 and ten classes. LeCun, Bottou, Bengio and Haffner 1998; the first convolution pads by
    2, which makes 28 pixels the paper's 32. Unlike there, the second convolution sees all six maps, pooling has no
    weights and no nonlinearity, tanh is not scaled, and the head is linear (for softmax) instead of distances to
    fixed codes.

    Raises:
        UserError: `size` is less than 12.
    """
    _require_size("lenet5", size, 12)
    side = (size // 2 - 4) // 2
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5, padding=2),
            activation1=activation_layer(activation),
            pool1=pooling_layer(pooling, 2, 2),
            conv2=nn.Conv2d(6, 16, 5),
            activation2=activation_layer(activation),
            pool2=pooling_layer(pooling, 2, 2),
            flatten=nn.Flatten(),
            **_dense(1, 16 * side**2, 120, activation, dropout),
            **_dense(2, 120, 84, activation, dropout),
            head=nn.Linear(84, classes),
        )
    )


def lcn_cnn(
    channels: int,
    size: int,
    classes: int,
    activation: Activation = "tanh",
    pooling: Pooling = "average",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Two stages of conv - absolute value - contrast normalisation - pool, then dense 128; 454,922 parameters.

    The count is for 28 x 28 x 1 and ten classes. The stages are those of Jarrett et al. 2009 (F_CSG - R_abs - N - P_A),
    here with 32 and 64 maps of 5 x 5 kernels, padded to keep the size; all layers learn together, from labels only.

    Raises:
        UserError: `size` is less than 4.
    """
    _require_size("lcn_cnn", size, 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 5, padding=2),
            activation1=activation_layer(activation),
            absolute1=Rectification(),
            norm1=LocalContrastNorm(),
            pool1=pooling_layer(pooling, 2, 2),
            conv2=nn.Conv2d(32, 64, 5, padding=2),
            activation2=activation_layer(activation),
            absolute2=Rectification(),
            norm2=LocalContrastNorm(),
            pool2=pooling_layer(pooling, 2, 2),
            flatten=nn.Flatten(),
            **_dense(1, 64 * (size // 4) ** 2, 128, activation, dropout),
            head=nn.Linear(128, classes),
        )
    )


def alexnet(
    channels: int,
    size: int,
    classes: int,
    activation: Activation = "relu",
    pooling: Pooling = "max",
    dropout: float = 0.5,
) -> nn.Sequential:
    """Five convolutions, three dense layers; 60,965,224 parameters on 224 or 227 pixels x 3 with 1000 classes.

    Krizhevsky, Sutskever and Hinton 2012, as published: convolutions 2, 4 and 5 in two groups, which were two GPUs;
    response normalisation before the first two of three overlapping pools; dropout on both hidden dense layers.

    Raises:
        UserError: `size` is less than 63.
    """
    _require_size("alexnet", size, 63)
    first = nn.Conv2d(channels, 96, 11, stride=4, padding=2)
    maps = (96, 256, 384, 384, 256)
    return _alexnet_plan(first, (size + 4 - 11) // 4 + 1, maps, 2, 4096, classes, activation, pooling, dropout)


def alexnet_small(
    channels: int,
    size: int,
    classes: int,
    activation: Activation = "relu",
    pooling: Pooling = "max",
    dropout: float = 0.5,
) -> nn.Sequential:
    """AlexNet's plan for 28 to 64 pixels: 5 x 5 kernels at first, no groups, 256 dense units; 613,642 parameters.

    The count is for 28 x 28 x 1 and ten classes, where it takes 27 million multiply-adds. After Krizhevsky, Sutskever
    and Hinton 2012.

    Raises:
        UserError: `size` is less than 15.
    """
    _require_size("alexnet_small", size, 15)
    first = nn.Conv2d(channels, 32, 5, padding=2)
    return _alexnet_plan(first, size, (32, 96, 128, 128, 96), 1, 256, classes, activation, pooling, dropout)


def _alexnet_plan(
    first: nn.Conv2d,
    side: int,
    maps: tuple[int, int, int, int, int],
    groups: int,
    units: int,
    classes: int,
    activation: Activation,
    pooling: Pooling,
    dropout: float,
) -> nn.Sequential:
    """AlexNet behind its first convolution, whose maps are `side` x `side`; `groups` is of convolutions 2, 4 and 5."""
    for _ in range(3):  # pools
        side = (side - 3) // 2 + 1
    return nn.Sequential(
        OrderedDict(
            conv1=first,
            activation1=activation_layer(activation),
            norm1=_response_norm(),
            pool1=pooling_layer(pooling, 3, 2),
            conv2=nn.Conv2d(maps[0], maps[1], 5, padding=2, groups=groups),
            activation2=activation_layer(activation),
            norm2=_response_norm(),
            pool2=pooling_layer(pooling, 3, 2),
            conv3=nn.Conv2d(maps[1], maps[2], 3, padding=1),
            activation3=activation_layer(activation),
            conv4=nn.Conv2d(maps[2], maps[3], 3, padding=1, groups=groups),
            activation4=activation_layer(activation),
            conv5=nn.Conv2d(maps[3], maps[4], 3, padding=1, groups=groups),
            activation5=activation_layer(activation),
            pool3=pooling_layer(pooling, 3, 2),
            flatten=nn.Flatten(),
            **_dense(1, maps[4] * side**2, units, activation, dropout),
            **_dense(2, units, units, activation, dropout),
            head=nn.Linear(units, classes),
        )
    )


def _dense(number: int, inputs: int, units: int, activation: Activation, dropout: float) -> dict[str, nn.Module]:
    return {
        f"dense{number}": nn.Linear(inputs, units),
        f"dense_activation{number}": activation_layer(activation),
        f"dropout{number}": nn.Dropout(dropout),
    }


def _response_norm() -> nn.LocalResponseNorm:
    """AlexNet's, section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75; torch divides alpha by n, the paper does not."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def _require_size(network: str, size: int, least: int) -> None:
    if size < least:
        raise UserError(f"input.size: {size}: too small for {network}, which needs at least {least} px")
