"""What networks out of libraries share: fetched weights, sizes that they take, names that were meant."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import nn
from torch.func import functional_call

from sightline.models.mirror import available_lines
from sightline.system.errors import UserError, first_line

Weights = Literal["random", "pretrained"] | Path
HUB_CLASSES = 1000  # of ImageNet, for which libraries publish weights
_WEIGHTS = Path("data/weights")  # of the project that is worked on
_PATIENCE = 4.0  # seconds
T = TypeVar("T")


def hub_answers() -> bool:
    """Return whether the hub can be reached, or may be through a proxy; its own client tries for most of a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return False
    if getproxies():
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.create_connection((host.hostname, host.port or 443), timeout=_PATIENCE).close()
    except OSError:
        return False
    return True


@contextmanager
def _cached_only(wanted: bool) -> Iterator[None]:
    """Let the hub's client look into its cache alone."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def from_hub(what: str, load: Callable[[], T]) -> T:
    """Return what `load` fetches.

    Raises:
        UserError: it cannot be fetched.
    """
    try:
        with _cached_only(not hub_answers()):
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
