"""The loss network: a frozen network whose layers tell how far pictures are from photographs and from styles.

Source: Johnson, Alahi and Fei-Fei 2016 (arXiv:1603.08155), section 3.2, with the relative distances of `losses`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sightline.config.published import published_input
from sightline.models.classify.classifiers import Weights, build_classifier, outputs_of
from sightline.models.style.layers import LayerOutputs, default_layers, with_average_pooling
from sightline.models.style.losses import distances, grams

_PUBLISHED = 224  # pixels for which libraries build most networks
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet


class StyleJudge(nn.Module):
    """Distances of pictures from photographs and from K styles, whose Gram matrices it keeps.

    Args:
        network: frozen, N x 3 x H x W normalised in.
        mean, std: of its input's channels, of pixels in 0..1.
        styles: K.
        size: side of an image that passes it, by which layers are chosen.
        content_layers: weights by layer; None: one, chosen by the structure.
        style_layers: likewise; None: several.

    Raises:
        UserError: a layer that the network does not have.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        styles: int,
        size: int,
        content_layers: Mapping[str, float] | None,
        style_layers: Mapping[str, float] | None,
    ) -> None:
        super().__init__()
        example = torch.zeros(1, 3, size, size)
        found = default_layers(network, example)
        self.content_layers = _shares(content_layers or {found.content: 1.0})
        self.style_layers = _shares(style_layers or dict.fromkeys(found.style, 1.0))
        layers = list(dict.fromkeys([*self.content_layers, *self.style_layers]))
        _drop_unused(network, layers, example)
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self._outputs = LayerOutputs(network, layers, example)
        with torch.no_grad():
            seen = self._outputs(example)
        for number, layer in enumerate(self.style_layers):
            maps = grams(seen[layer])
            self.register_buffer(f"gram{number}", maps.new_zeros(styles, *maps.shape[1:]))

    def learn_styles(self, paintings: Sequence[Tensor]) -> None:
        """Keep the Gram matrices of K paintings, each 1 x 3 x H x W in 0..1."""
        with torch.no_grad():
            own = [self.features(painting) for painting in paintings]
        for number, layer in enumerate(self.style_layers):
            getattr(self, f"gram{number}").copy_(torch.cat([grams(seen[layer]) for seen in own]))

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """N x 3 x H x W in 0..1 -> the output of each layer, by name."""
        return self._outputs((pixels - self.mean) / self.std)

    def distances(self, pictures: Tensor, photographs: Tensor, mixes: Tensor) -> tuple[Tensor, Tensor]:
        """Return N distances of content and N of style, each relative to its target.

        Args:
            pictures: N x 3 x H x W in 0..1.
            photographs: P x 3 x H x W in 0..1, of each of which N / P pictures were made, one after another.
            mixes: N x K weights of the styles that sum to 1; the target is the mean of their Gram matrices.
        """
        found = self.features(pictures)
        with torch.no_grad():
            wanted = self.features(photographs)
        content, style = pictures.new_zeros(len(pictures)), pictures.new_zeros(len(pictures))
        times = len(pictures) // len(photographs)
        with torch.autocast(pictures.device.type, enabled=False):  # sums of products of thousands of places
            for layer, weight in self.content_layers.items():
                target = wanted[layer].float().repeat_interleave(times, 0)
                content = content + weight * distances(found[layer].float(), target)
            for number, (layer, weight) in enumerate(self.style_layers.items()):
                target = torch.einsum("nk,kcd->ncd", mixes.float(), getattr(self, f"gram{number}"))
                style = style + weight * distances(grams(found[layer].float()), target)
        return content, style

    def train(self, mode: bool = True) -> StyleJudge:
        """Stay in evaluation mode."""
        return super().train(False)


def build_judge(
    architecture: str,
    weights: Weights,
    styles: int,
    size: int,
    content_layers: Mapping[str, float] | None,
    style_layers: Mapping[str, float] | None,
    *,
    average_pooling: bool,
) -> StyleJudge:
    """Build a loss network of a library.

    Args:
        architecture: `torchvision:NAME` or `timm:NAME`.
        weights: `random`, `pretrained`, or a file that is read without unpickling.
        styles: as in `StyleJudge`.
        size: the same.
        content_layers: the same.
        style_layers: the same.
        average_pooling: in the place of max pooling, if there is any.

    Raises:
        UserError: unknown name, weights that do not fit, or layers that are not there.
    """
    outputs = outputs_of(architecture, 3, _PUBLISHED, weights)
    network = build_classifier(architecture, 3, _PUBLISHED, outputs, weights=weights).network
    if average_pooling and any(isinstance(module, nn.MaxPool2d) for module in network.modules()):
        with_average_pooling(network)
    for module in network.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010 - else a layer's output would change after it was taken
    network.eval().requires_grad_(False)
    published = published_input(architecture)
    mean, std = (published.mean, published.std) if published else (_MEAN, _STD)
    return StyleJudge(network, mean, std, styles, size, content_layers, style_layers)


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight}


def _drop_unused(network: nn.Module, layers: Sequence[str], example: Tensor) -> None:
    """Leave out what comes after the deepest layer, so that a model directory does not hold it."""
    used: set[nn.Module] = set()
    outputs = LayerOutputs(network, layers, example)
    leaves = {name: one for name, one in network.named_modules() if name and not any(one.children())}
    hooks = [one.register_forward_hook(lambda own, *_: used.add(own)) for one in leaves.values()]
    with torch.no_grad():
        outputs(example)
    for hook in hooks:
        hook.remove()
    outputs.close()
    for name, one in leaves.items():
        if one not in used and any(True for _ in one.parameters()):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, nn.Identity())
