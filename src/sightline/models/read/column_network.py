"""The convolutional recurrent network (CRNN): an image as a sequence of columns, with the scores of characters in each.

Convolutions look at the image, a recurrent layer reads along the columns in both directions, and a linear layer says
which character stands in each (B. Shi, X. Bai and C. Yao 2015, An End-to-End Trainable Neural Network for Image-based
Sequence Recognition, arXiv:1507.05717, figure 1). The convolutions are fewer and narrower than the paper's VGG, and
columns are a quarter of the width, as there: height is halved at each of four stages, width only at the first ones
(table 1: "rectangular pooling windows").
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from sightline.data.images import Size, sides
from sightline.models.classify.hub import Weights
from sightline.models.weights import load_for_classes, read_weights

Sequence = Literal["lstm", "gru", "none"]
BLANK = 0  # the output that means no character; character k of the label map is output k + 1
_HALVINGS = 4  # of the height
_DOUBLINGS = (1, 2, 4, 4)  # maps of each stage, as multiples of the first's
_CONVOLUTIONS = (1, 1, 2, 1)  # of each stage


class ColumnNetwork(nn.Module):
    """N x C x H x W pixels -> N x T x (1 + characters) scores, T columns from left to right.

    Args:
        body: N x C x H x W -> N x D x R x T maps.
        features: D times R, what a column is described by.
        sequence: what reads along the columns.
        hidden, layers: of a recurrent layer.
        characters: how many there are.
        dropout: of what enters the last layer.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        sequence: Sequence,
        hidden: int,
        layers: int,
        characters: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.body = body
        self.sequence: nn.Module | None = None
        if sequence != "none":
            kind: type[nn.LSTM | nn.GRU] = nn.LSTM if sequence == "lstm" else nn.GRU
            self.sequence = kind(features, hidden, layers, batch_first=True, bidirectional=True)
            features = 2 * hidden  # of both directions
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, 1 + characters)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores of `BLANK` and of each character in each column."""
        columns = self.body(pixels).permute(0, 3, 1, 2).flatten(2)  # N x T x D R: "map-to-sequence", section 2.1
        if self.sequence is not None:
            columns, _ = self.sequence(columns)
        scores: Tensor = self.head(self.dropout(columns))
        return scores


def column_network(
    channels: int,
    size: Size,
    characters: int,
    *,
    width: int,
    stride: int,
    sequence: Sequence,
    hidden: int,
    layers: int,
    dropout: float,
    weights: Weights = "random",
) -> ColumnNetwork:
    """Build the network, with random weights or those of a file.

    Args:
        channels: of the images.
        size: of the input.
        characters: how many there are.
        width: maps of the first convolution.
        stride: pixels of the input per column: 2, 4 or 8.
        sequence: what reads along the columns.
        hidden: units of a recurrent layer in each direction.
        layers: how many of them there are.
        dropout: of what enters the last layer.
        weights: `random`, or a file; of one for other characters all but the last layer.

    Raises:
        UserError: a file of weights that does not fit.
    """
    rows = sides(size)[0]
    for _ in range(_HALVINGS):
        rows = -(-rows // 2)
    body = _body(channels, width, stride)
    network = ColumnNetwork(body, _DOUBLINGS[-1] * width * rows, sequence, hidden, layers, characters, dropout)
    if isinstance(weights, Path):
        load_for_classes(network, read_weights(weights), str(weights), "text_recognition")
    return network


def columns_of(size: Size, stride: int) -> int:
    """Return the number of columns that the network makes of an input."""
    return -(-sides(size)[1] // stride)


def _body(channels: int, width: int, stride: int) -> nn.Sequential:
    """Convolutions with batch normalisation (Ioffe and Szegedy 2015), halved in height four times."""
    layers: list[nn.Module] = []
    before, across = channels, stride
    for times, count in zip(_DOUBLINGS, _CONVOLUTIONS, strict=True):
        for _ in range(count):
            maps = times * width
            layers += [nn.Conv2d(before, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU(inplace=True)]
            before = maps
        pooled = 2 if across > 1 else 1
        layers.append(nn.MaxPool2d((2, pooled), ceil_mode=True))
        across //= pooled
    return nn.Sequential(*layers)
