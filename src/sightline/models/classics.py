"""The small networks of the lectures, in plain torch.nn."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def mlp(channels: int, size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Pixels - 128 hidden units - classes; 101,770 parameters on 28 x 28 x 1 with ten classes.

    N x `channels` x `size` x `size` float32 -> N x `classes` logits. Two-layer perceptron, Rumelhart, Hinton and
    Williams 1986, with rectified linear units.
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            dense1=nn.Linear(channels * size * size, 128),
            relu1=nn.ReLU(),
            dropout=nn.Dropout(dropout),
            head=nn.Linear(128, classes),
        )
    )


def mnist_cnn(channels: int, size: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Conv 32 - pool - conv 64 - pool - dense 128 - classes; 421,642 parameters on 28 x 28 x 1 with ten classes.

    N x `channels` x `size` x `size` float32 -> N x `classes` logits. 3 x 3 kernels, padded to keep the size, as in
    the lecture's Keras program; the plan is that of LeNet-5 (LeCun et al. 1998).
    """
    side = size // 4
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(32, 64, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            dense1=nn.Linear(64 * side * side, 128),
            relu3=nn.ReLU(),
            dropout=nn.Dropout(dropout),
            head=nn.Linear(128, classes),
        )
    )
