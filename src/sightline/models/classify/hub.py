"""What networks out of libraries share: fetched weights, sizes that they take, names that were meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import nn
from torch.func import functional_call

from sightline.models.mirror import available_lines
from sightline.system.errors import UserError, first_line

Weights = Literal["random", "pretrained"] | Path
HUB_CLASSES = 1000  # of ImageNet, for which libraries publish weights
_WEIGHTS = Path("data/weights")  # of the project that is worked on
T = TypeVar("T")


def from_hub(what: str, load: Callable[[], T]) -> T:
    """Return what `load` fetches.

    Raises:
        UserError: it cannot be fetched.
    """
    try:
        return load()
    except UserError:
        raise
    except Exception as error:
        first = first_line(error)
        told = (
            f"{what}: weights: pretrained: cannot be fetched from the hub ({first}); "
            "go online, or put the file into data/weights"
        )
        raise UserError([told, *available_lines(_WEIGHTS)]) from None


def require_size(network: nn.Module, channels: int, size: int, what: str, told: str) -> None:
    """Try one image, on torch's meta device, where shapes cost no arithmetic; 5 to 300 ms.

    Args:
        network: N x `channels` x `size` x `size` in; it is left in training mode.
        channels: of the input.
        size: height and width of the input, pixels.
        what: the name of the network.
        told: what is known about its size, after its name.

    Raises:
        UserError: the network fails.
    """
    tensors = [*network.named_parameters(), *network.named_buffers()]
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
    network.eval()
    try:
        with torch.no_grad():
            try:
                functional_call(network, state, torch.empty(1, channels, size, size, device="meta"))
            except Exception:  # some networks look at numbers on their way
                network(torch.zeros(1, channels, size, size))
    except Exception as error:
        raise wrong_size(what, size, told, error) from None
    network.train()


def wrong_size(what: str, size: int, told: str, error: Exception) -> UserError:
    """Return the message for when a network fails with an input of this size."""
    first = first_line(error).rstrip(".!")
    return UserError(f"input.size: {size}: {what} {told} ({first})")
