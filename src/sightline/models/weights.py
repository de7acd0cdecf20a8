"""Reads files of pretrained weights, without ever unpickling objects."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.models.mirror import available_lines
from sightline.system.errors import UserError, first_line

WRAPPERS = ("state_dict", "model", "model_state_dict")
TASK_BUFFERS = "task."  # in a model directory: before the names of what is the task's own, not the network's


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a .safetensors, .pth, .pt or .th file, without `module.` before its keys.

    Of a model directory's `weights.safetensors` only the network's part is returned.

    Raises:
        UserError: the file is missing, is none of these, or holds anything but tensors.
    """
    if not path.is_file():
        told = f"{path}: no such file; put the weights there, or set weights: random"
        raise UserError([told, *available_lines(path.parent)])
    state: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, KeyError):  # KeyError: bytes that no pickle begins with
        told = "not a file of weights, or contains more than tensors, which is not loaded for safety"
        raise UserError(f"{path}: {told}; save network.state_dict()") from None
    except Exception as error:
        first = first_line(error)
        raise UserError(f"{path}: not a file of weights (.safetensors, .pth, .pt, .th): {first}") from None
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: is not a state dict of named tensors; save network.state_dict()")
    return {key.removeprefix("module."): value for key, value in state.items() if not key.startswith(TASK_BUFFERS)}


def body_of_detector(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the body in a detector's weights, by the names of the network that it was cut from; else all as it is."""
    for prefix in ("body.maps.network.", "body.maps."):  # of timm, of torchvision
        body = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if body:
            return body
    return state


def layers_of_encoder(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return the lowest layers of a dense autoencoder's encoder as those of an `mlp`; other weights as they are.

    Its other layers and its head are the network's own: what was learned without labels is where training with them
    begins (Hinton and Salakhutdinov 2006; Vincent et al. 2010).
    """
    if "encoder.1.weight" not in state or "decoder.0.weight" not in state:
        return state
    own = network.state_dict()
    into = {f"dense{place + 1}": f"encoder.{1 + 2 * place}" for place in range(len(state))}
    taken = {
        key: state[f"{into[layer]}.{part}"]
        for key in own
        for layer, _, part in [key.rpartition(".")]
        if layer in into and f"{into[layer]}.{part}" in state
    }
    return own | taken if taken else state


def is_folded(network: nn.Module) -> bool:
    """Return whether batch normalisation does nothing, as where it was folded into the convolutions before it."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    return bool(layers) and all(
        layer.running_mean is not None
        and layer.running_var is not None
        and not layer.running_mean.any()
        and bool((layer.running_var - 1).abs().max() < 1e-3)
        for layer in layers
    )


def load_strictly(network: nn.Module, state: dict[str, Tensor], source: str, architecture: str) -> None:
    """Load a state dict whose keys and shapes must be those of the network.

    Raises:
        UserError: naming the keys that are missing, left over, or of another shape.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    surplus = [key for key in state if key not in own]
    shapes = [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    told = [
        f"{word} {_few(keys)}"
        for word, keys in (("missing", missing), ("unknown", surplus), ("other shape:", shapes))
        if keys
    ]
    if told:
        raise UserError(f"{source}: does not fit {architecture}: {'; '.join(told)}")
    network.load_state_dict(state, strict=False)  # only batch counters may be absent, checked above


def load_for_classes(
    network: nn.Module, state: dict[str, Tensor], source: str, architecture: str, last: str = "head."
) -> None:
    """Load a state dict as `load_strictly`, but for what begins with `last` where the file is for other classes."""
    own = network.state_dict()
    head = [key for key in own if key.startswith(last)]
    if all(key in state and state[key].shape[:1] != own[key].shape[:1] for key in head):
        state = state | {key: own[key] for key in head}
    load_strictly(network, state, source, architecture)


def _few(keys: list[str], most: int = 4) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
