"""Several views of an image and the mean of what a network says of them, as raw outputs again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def mean_of_classes(first: Tensor, second: Tensor) -> Tensor:
    """Return N x K x ... scores whose softmax over K is the mean of the softmax of two such scores."""
    both = _log_sum(F.log_softmax(first, 1), F.log_softmax(second, 1))
    return both - both.logsumexp(1, keepdim=True)


def mean_of_presences(first: Tensor, second: Tensor) -> Tensor:
    """Return logits whose sigmoid is the mean of the sigmoid of two tensors of logits."""
    present = _log_sum(F.logsigmoid(first), F.logsigmoid(second))
    absent = _log_sum(F.logsigmoid(-first), F.logsigmoid(-second))
    return present - absent


def _log_sum(first: Tensor, second: Tensor) -> Tensor:
    """As `logaddexp`, which torch's tracing exporter to ONNX lacks."""
    return torch.stack([first, second]).logsumexp(0)
