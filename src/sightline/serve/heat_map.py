"""Where a classifier looks for its class: Grad-CAM (Selvaraju et al. 2017, equations 1 and 2)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.encoding import encode_png
from sightline.serve.limits import Refusal, Upload
from sightline.serve.served_model import ServedModel
from sightline.structures import FLOAT32, UINT8
from sightline.tasks.base import Task, numbers


def grad_cam(task: Task, pixels: UINT8) -> tuple[int, FLOAT32]:
    """Return the class of the largest score, and an S x S map of its evidence in the last convolution, 0..1.

    The maps of the last convolution are weighted with the mean gradient of the score and added; what speaks against
    the class is cut off at 0.

    Args:
        task: a classifier whose network convolves.
        pixels: S x S x C uint8 of the network's input.

    Raises:
        ValueError: the network has no convolution.
    """
    convolutions = [module for module in task.network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError(f"{type(task.network).__name__} has no convolution")
    found: list[Tensor] = []
    hook = convolutions[-1].register_forward_hook(lambda _, __, output: found.append(output))
    try:
        with torch.enable_grad():
            scores = task(torch.from_numpy(pixels[None]).to(task.mean.device))[0]
            label = int(scores.argmax())
            (slopes,) = torch.autograd.grad(scores[label], found[0])
    finally:
        hook.remove()
    weighted = (slopes.mean((2, 3), keepdim=True) * found[0]).sum(1)[0]
    evidence = numbers(torch.relu(weighted))
    heat = evidence / np.float32(max(float(evidence.max()), 1e-12))
    enlarged: FLOAT32 = cv2.resize(heat, pixels.shape[:2], interpolation=cv2.INTER_LINEAR)
    return label, enlarged


def encoded_heat_map(model: ServedModel, upload: Upload) -> tuple[str, bytes]:
    """Return the class found in an image, and the heat as grey PNG of the original's size.

    Raises:
        Refusal: 422 where the model gives no heat map, or the image cannot be decoded.
    """
    try:
        network = model.network()
        pixels, placed = model.decode(upload)
        label, heat = grad_cam(network, pixels)
    except ValueError as error:
        raise Refusal(422, f"{model.name}: no heat map ({error}); classifiers with convolutions have one") from None
    original = placed.map_into_original(heat, linear=True)
    grey = np.rint(255 * original.clip(0, 1)).astype(np.uint8)
    return model.labels.classes[label], encode_png(grey)
