"""An image through a short code and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, assert_never

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sightline.config.models import Input
from sightline.config.network import Views
from sightline.config.tasks.autoencoder import Autoencoder as Config
from sightline.data.images import Placement, decode
from sightline.data.store import SplitStore
from sightline.data.structures import FLOAT32, UINT8, LabelMap, Prediction
from sightline.models.autoencoders import Autoencoder as AutoencoderNetwork
from sightline.models.autoencoders import autoencoder_network, layer_pairs
from sightline.models.classify.hub import Weights
from sightline.models.processes import joint_mean
from sightline.tasks.base import Measurement, Task, channel_statistics, numbers
from sightline.tasks.metrics.images import WHITE, mean_squared_error, peak_signal_to_noise, structural_similarity

Loss = Literal["mse", "bce"]
Order = Literal["together", "layers", "layers_then_together"]
_METRICS = ("psnr", "ssim", "mse")


def build_autoencoder(
    task: Config, image: Input, labels: LabelMap, weights: Weights, train: SplitStore | None
) -> Autoencoder:
    """Build an autoencoder and its loss from configuration."""
    network = autoencoder_network(task.architecture, image.channels, image.size, weights=weights, **task.options())
    statistics = channel_statistics(image.channels, image.mean, image.std)
    return Autoencoder(
        network,
        "decoder",
        labels,
        *statistics,
        loss=task.loss,
        noise=task.noise,
        masking=task.masking,
        order=task.order,
        views=task.views,
    )


class Autoencoder(Task):
    """Learns to give back its input; with noise on the input, to take it away (Vincent et al. 2008).

    Layer by layer it is a stack of such (Vincent et al. 2010; Hinton and Salakhutdinov 2006): each layer learns to give
    back what the one below makes of clean images, while all others rest.

    Attributes:
        level: the layer that learns now, 0 at the input; None: all of them.
    """

    kind: ClassVar[str] = "autoencoder"
    targets: ClassVar[tuple[str, ...]] = ()
    truth_fields: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(
        self,
        network: nn.Module,
        head: str,
        labels: LabelMap,
        mean: Sequence[float],
        std: Sequence[float],
        loss: Loss = "mse",
        noise: float = 0.0,
        masking: float = 0.0,
        order: Order = "together",
        views: Views = "one",
    ) -> None:
        super().__init__(network, head, labels, mean, std)
        self.views = views
        self.criterion: Loss = loss
        self.noise, self.masking, self.order = noise, masking, order
        self.learns_in_parts = order != "together"
        self.level: int | None = None

    def mean_of_views(self, outputs: Tensor, mirrored: Tensor) -> Tensor:
        """Return the mean of both images."""
        return (outputs + mirrored.flip(3)) / 2

    def loss(self, outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """Mean over N x C x S x S pixels in 0..1 of their error from `image`, N x S x S x C uint8."""
        wanted = _wanted(targets)
        match self.criterion:
            case "mse":
                return joint_mean(F.mse_loss(outputs.float(), wanted), len(outputs))
            case "bce":
                with torch.autocast(outputs.device.type, enabled=False):  # in half precision its logarithms overflow
                    return joint_mean(F.binary_cross_entropy(outputs.float(), wanted), len(outputs))
            case _:
                assert_never(self.criterion)

    def scores(self, outputs: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean over images of the peak signal-to-noise ratio in decibel, in the input's pixels."""
        errors = (outputs.float() - _wanted(targets)).square().mean((1, 2, 3))
        return {"psnr": (-10 * torch.log10(errors.clamp_min(1e-6))).mean()}

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Choose the layer that learns: each for an equal share of the epochs."""
        if self.order == "together":
            return
        layers = len(layer_pairs(self._stack))
        now = epoch * (layers + (self.order == "layers_then_together")) // epochs
        self.level = now if now < layers else None

    def training_loss(self, images: Tensor, targets: dict[str, Any]) -> Tensor:
        """Return the loss of giving back the clean images from noisy ones, or what a layer is given."""
        if self.level is not None:
            return self._loss_of_layer(images, self.level)
        return self.loss(self(self._noisy(images)), targets | {"image": images})

    def _noisy(self, images: Tensor) -> Tensor:
        """N x S x S x C -> the same with noise and without some pixels (all channels of them)."""
        noisy = images + WHITE * self.noise * torch.randn(images.shape, device=images.device) if self.noise else images
        return noisy * self._kept(images[..., :1]) if self.masking else noisy

    def _kept(self, values: Tensor) -> Tensor:
        """Return 1 for what is kept, 0 for what is masked."""
        return (torch.rand(values.shape, device=values.device) >= self.masking).float()

    def _loss_of_layer(self, images: Tensor, level: int) -> Tensor:
        pairs = layer_pairs(self._stack)
        encode, decode = pairs[level]
        if level == 0:
            pixels = torch.sigmoid(decode(encode(self._normalised(self._noisy(images)))).float())
            return self.loss(pixels.view(len(images), *images.permute(0, 3, 1, 2).shape[1:]), {"image": images})
        with torch.no_grad():
            clean = self._normalised(images)
            for below, _ in pairs[:level]:
                clean = below(clean)
        given = clean * self._kept(clean) if self.masking else clean
        return joint_mean(F.mse_loss(decode(encode(given)).float(), clean.float()), len(images))

    def _normalised(self, images: Tensor) -> Tensor:
        """N x S x S x C in 0..255 -> N x C S S, as the network sees them."""
        return ((images.permute(0, 3, 1, 2) - self.mean) / self.std).flatten(1)

    @property
    def _stack(self) -> AutoencoderNetwork:
        assert isinstance(self.network, AutoencoderNetwork)
        return self.network

    def validate(self, images: Tensor, targets: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return loss and scores of clean images."""
        return super().validate(images, targets | {"image": images})

    def predictions(self, outputs: Tensor, placements: Sequence[Placement]) -> list[Prediction]:
        """N x C x S x S pixels in 0..1 -> an image of each original's size."""
        images = WHITE * numbers(outputs).transpose(0, 2, 3, 1)
        return [Prediction(image=_original(one, place)) for one, place in zip(images, placements, strict=True)]

    def measure(self, predictions: Iterable[Prediction], truth: pd.DataFrame, bins: int) -> Measurement:
        """Means over images, in original pixels: signal-to-noise ratio (at most 60 dB), structural similarity, error.

        Args:
            predictions: one per row of `truth`.
            truth: the columns id, source and image, the encoded bytes.
            bins: not used.
        """
        measured: dict[str, list[float]] = {name: [] for name in _METRICS}
        for encoded, said in zip(truth["image"], predictions, strict=True):
            assert said.image is not None
            original = decode(encoded, said.image.shape[2])
            error = mean_squared_error(original, said.image)
            measured["mse"].append(error)
            measured["psnr"].append(peak_signal_to_noise(error))
            measured["ssim"].append(structural_similarity(original, said.image))
        rows = pd.DataFrame({"id": truth["id"], "source": truth["source"], **measured})
        pairs = zip(rows["psnr"], rows["ssim"], strict=True)
        rows["told"] = [f"{decibel:.1f} dB, similarity {similarity:.2f}" for decibel, similarity in pairs]
        rows["score"] = rows["psnr"]
        return Measurement("psnr", {name: float(rows[name].mean()) for name in _METRICS}, rows, {})


def _wanted(targets: dict[str, Tensor]) -> Tensor:
    return targets["image"].permute(0, 3, 1, 2).float() / WHITE


def _original(pixels: FLOAT32, place: Placement) -> UINT8:
    """S x S x C in 0..255 -> H x W x C uint8 of the original."""
    moved = place.map_into_original(pixels, linear=True).reshape(place.height, place.width, -1)
    image: UINT8 = np.rint(moved).clip(0, WHITE).astype(np.uint8)
    return image
