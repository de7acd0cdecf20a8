"""Features of a frozen network: what its layers put out (DeCAF, Donahue et al. 2014)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.images import Size, sides
from sightline.data.structures import UINT8
from sightline.models.fusing import fuse_batch_norms
from sightline.models.layer_names import meant_layer
from sightline.system.errors import UserError
from sightline.tasks.base import Task
from sightline.training.features.base import Extractor, MapShape, Vectors
from sightline.training.features.pooling import Pooling, channels_first, map_shape, pooled


class _AllSeen(Exception):  # noqa: N818 - no error: nothing more of the forward pass is needed
    pass


class NetworkExtractor(Extractor):
    """One forward pass for all layers, as far as the deepest of them.

    A layer that is used several times in a pass counts with its last use.

    Args:
        task: a network with the way from pixels to its input; its batch normalisations are fused here.
        layers: names of modules of the network.
        pooling: of their outputs.
        pyramid: levels of it (`pooled`).
        size: of the images, pixels.
        channels: of the images.

    Raises:
        UserError: a layer that the network does not have or use, that does not output a tensor per image, or whose
            map has fewer places than the pyramid has cells.
    """

    def __init__(
        self, task: Task, layers: Sequence[str], pooling: Pooling, pyramid: Sequence[int], size: Size, channels: int
    ) -> None:
        self.task, self.layers = task.eval().requires_grad_(False), tuple(layers)
        self.task.views = "one"  # features are those of the image itself
        self.pooling, self.pyramid = pooling, tuple(pyramid)
        self._device = torch.device("cpu")
        modules = dict(task.network.named_modules())
        for name in self.layers:
            if name not in modules or not name:
                raise UserError(f"extractor.layers: {name}: no such layer{meant_layer(name, modules)}")
        blank = torch.zeros(1, *sides(size), channels, dtype=torch.uint8)
        self._uses = self._count_uses(modules, blank)
        for name in self.layers:
            if not self._uses[name]:
                raise UserError(f"extractor.layers: {name}: the network does not use it; name another layer")
        self._weights = task.network.state_dict()  # as they came: fusing puts others in their place
        fuse_batch_norms(task.network, lambda: self.task(blank), self.layers)
        modules = dict(task.network.named_modules())
        self._seen: Counter[str] = Counter()
        self._found: dict[str, Tensor] = {}
        self._images = 0  # of the pass that runs
        self._shapes: dict[str, MapShape | None] = {}
        for name in self.layers:
            modules[name].register_forward_hook(partial(self._keep, name))
        vectors = self._forward(blank)
        self.dimensions = {name: vectors[name].shape[1] for name in self.layers}
        self.maps = {name: shape for name in self.layers if (shape := self._shapes[name]) is not None}

    def __call__(self, images: UINT8) -> Vectors:
        """N x S x S x C uint8 -> N x D float32 of each layer."""
        found = self._forward(torch.from_numpy(images).to(self._device, non_blocking=True))
        return {name: np.asarray(found[name].cpu().numpy(), np.float32) for name in self.layers}

    def write(self, folder: Path) -> None:
        """Write the network's weights."""
        from safetensors.torch import save_file

        state = {key: value.detach().cpu().contiguous() for key, value in self._weights.items()}
        save_file(state, folder / "weights.safetensors")

    def to(self, device: str) -> None:
        """Move the network."""
        self._device = torch.device(device)
        self.task.to(self._device)

    def _forward(self, images: Tensor) -> dict[str, Tensor]:
        self._seen.clear()
        self._found = {}
        self._images = len(images)
        with torch.inference_mode():
            try:
                self.task(images)
            except _AllSeen:
                return self._found
        raise UserError(f"extractor.layers: {', '.join(self.layers)}: not all are used for these images")

    def _keep(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        self._seen[name] += 1
        if self._seen[name] < self._uses[name]:
            return
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise UserError(
                f"extractor.layers: {name}: outputs a {kind}, not a tensor; name a layer inside or after it"
            )
        self._check_shape(name, output)
        self._shapes[name] = map_shape(output, self.pooling, self.pyramid)
        self._found[name] = pooled(output, self.pooling, self.pyramid)
        if len(self._found) == len(self.layers):
            raise _AllSeen

    def _check_shape(self, name: str, output: Tensor) -> None:
        if not 1 <= output.ndim <= 4 or len(output) != self._images:
            shape = " x ".join(map(str, output.shape))
            told = f"outputs {shape} for {self._images} image(s), not a vector, tokens or a map per image"
            raise UserError(f"extractor.layers: {name}: {told}; name the layer around it")
        most = max(self.pyramid)
        if most > 1 and output.ndim == 3:
            raise UserError(
                f"extractor.pyramid: {name}: outputs tokens, which have no height and width; leave pyramid out"
            )
        if output.ndim == 4:
            height, width = channels_first(output).shape[2:]
            if most > min(height, width):
                raise UserError(f"extractor.pyramid: {most}: the map of {name} is only {height} x {width}")

    def _count_uses(self, modules: dict[str, nn.Module], images: Tensor) -> Counter[str]:
        uses: Counter[str] = Counter()

        def count(name: str, *_: Any) -> None:
            uses[name] += 1

        hooks = [modules[name].register_forward_hook(partial(count, name)) for name in self.layers]
        with torch.inference_mode():
            self.task(images)
        for hook in hooks:
            hook.remove()
        return uses
