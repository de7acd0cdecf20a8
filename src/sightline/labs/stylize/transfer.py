"""Style transfer: the style of some pictures on the content of another (Gatys, Ecker and Bethge 2015, 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from sightline.labs.stylize.colour import luminance, match_luminance, transfer_colours, with_luminance
from sightline.labs.stylize.matting import matting_laplacian, photorealism, smoothed
from sightline.labs.stylize.networks import Backbone
from sightline.labs.stylize.regions import Regions, pooled
from sightline.models.style.layers import LayerOutputs
from sightline.models.style.losses import (
    as_maps,
    gram,
    mixed_grams,
    region_grams,
    relative_distance,
    total_variation,
)
from sightline.system.errors import UserError

Colours = Literal["style", "luminance", "transfer"]
Start = Literal["content", "noise"]
Optimizer = Literal["lbfgs", "adam"]
Losses: TypeAlias = dict[str, float]
_MARGIN = 12  # pixels mirrored round a picture: at a bare border the network sees too little, and a pale frame grows
_MEMORY = 10  # pairs of steps from which L-BFGS-B estimates curvature


@dataclass(frozen=True)
class Goal:
    """What a picture is compared with.

    Attributes:
        content: outputs of the content picture, C x M by layer.
        style: Gram matrices of the styles, R x C x C by layer: one of the whole picture, or one for each region.
        shares: of the R regions in the picture; they sum to 1.
        content_layers: weights, by layer.
        style_layers: weights, by layer.
        content_weight, style_weight, tv_weight, photorealism: of the losses.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]
    shares: Sequence[float]
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content_weight: float
    style_weight: float
    tv_weight: float
    photorealism: float


class StyleTransfer:
    """The loss of a picture, and its way from a start to a minimum.

    Args:
        backbone: the network; one for grey images sees luminance.
        content: 1 x 3 x H x W in 0..1.
        styles: the same, of any size.
        mix: weight of each style, of any sum above 0.
        content_layers: names of layers with their weights, of any sum above 0.
        style_layers: likewise.
        content_weight, style_weight, tv_weight: of the losses.
        colours: `style`: whatever comes; `luminance`: the content's colours under a new luminance; `transfer`: the
            styles are first given the content's mean and covariance of colours.
        regions: compare style within regions only, of the single style that there is then.
        photorealism: weight of what is not affine, place by place, in the colours of the content.

    Raises:
        UserError: a layer that the network does not have, or one without places where there are regions.
    """

    def __init__(
        self,
        backbone: Backbone,
        content: Tensor,
        styles: Sequence[Tensor],
        mix: Sequence[float],
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        *,
        content_weight: float,
        style_weight: float,
        tv_weight: float,
        colours: Colours = "style",
        regions: Regions | None = None,
        photorealism: float = 0.0,
    ) -> None:
        self.backbone, self.content, self.colours = backbone, content, colours
        match colours:
            case "style":
                self._first, targets = content, list(styles)
            case "transfer":
                self._first, targets = content, [transfer_colours(style, content) for style in styles]
            case "luminance":
                self._first = luminance(content)
                targets = [match_luminance(luminance(style), self._first) for style in styles]
            case _:
                assert_never(colours)
        layers = list(dict.fromkeys([*content_layers, *style_layers]))
        self._outputs = LayerOutputs(backbone.network, layers, self._seen(self._first))
        self._masks = None if regions is None else regions.content.to(content)
        with torch.no_grad():
            seen = self._outputs(self._seen(self._first))
            masks = None if regions is None else regions.style.to(content)
            grams = [self._targets(target, style_layers, masks) for target in targets]
        if photorealism:
            colour = content[0].permute(1, 2, 0).double().cpu().numpy()
            self._laplacian = matting_laplacian(colour)
        self.goal = Goal(
            {name: as_maps(seen[name]) for name in content_layers},
            mixed_grams(grams, [weight / sum(mix) for weight in mix]),
            [1.0] if regions is None else regions.shares,
            {name: weight / sum(content_layers.values()) for name, weight in content_layers.items()},
            {name: weight / sum(style_layers.values()) for name, weight in style_layers.items()},
            content_weight,
            style_weight,
            tv_weight,
            photorealism,
        )

    def start(self, start: Start, seed: int) -> Tensor:
        """Return the first values of what is optimised, 1 x C x H x W in 0..1; C is 1 for `luminance`."""
        match start:
            case "content":
                return self._first.clone()
            case "noise":
                drawn = torch.Generator().manual_seed(seed)
                return (0.5 + 0.2 * torch.randn(self._first.shape, generator=drawn)).clamp(0, 1).to(self._first)
            case _:
                assert_never(start)

    def losses(self, values: Tensor) -> dict[str, Tensor]:
        """Return `content`, `style`, `tv` and, where it counts, `photorealism`, weighted, and their sum `total`."""
        goal = self.goal
        seen = self._outputs(self._seen(values))
        content, style = torch.zeros(()).to(values), torch.zeros(()).to(values)
        for name, weight in goal.content_layers.items():
            content = content + weight * relative_distance(as_maps(seen[name]), goal.content[name])
        for name, weight in goal.style_layers.items():
            found = self._grams(name, seen[name], self._masks, values)
            for share, own, target in zip(goal.shares, found, goal.style[name], strict=True):
                style = style + weight * share * relative_distance(own, target)
        parts = {
            "content": goal.content_weight * content,
            "style": goal.style_weight * style,
            "tv": goal.tv_weight * total_variation(values),
        }
        total = parts["content"] + parts["style"] + parts["tv"]
        if goal.photorealism:
            parts["photorealism"] = goal.photorealism * photorealism(values, self._laplacian)
            total = total + parts["photorealism"]
        return {"total": total, **parts}

    def picture(self, values: Tensor) -> Tensor:
        """Return the picture that the values stand for, 1 x 3 x H x W in 0..1."""
        values = values.detach().clamp(0, 1)
        return with_luminance(self.content, values) if self.colours == "luminance" else values

    def smoothed(self, values: Tensor) -> Tensor:
        """Return the photograph that is nearest to values, the losses of content, style and tv aside (Li et al. 2018).

        The Laplacian is so badly conditioned that steps along gradients leave most of what it forbids. Its weight has
        to be above 0.
        """
        pixels = values.detach()[0].permute(1, 2, 0).double().cpu().numpy()
        found = smoothed(pixels, self._laplacian, self.goal.photorealism).clip(0, 1)
        return torch.from_numpy(found).permute(2, 0, 1)[None].to(values)

    def _seen(self, values: Tensor) -> Tensor:
        down, right = _margin(values)
        return self.backbone.normalise(F.pad(values, (right, right, down, down), mode="reflect"))

    def _targets(self, picture: Tensor, layers: Mapping[str, float], masks: Tensor | None) -> dict[str, Tensor]:
        seen = self._outputs(self._seen(picture))
        return {name: self._grams(name, seen[name], masks, picture) for name in layers}

    def _grams(self, layer: str, output: Tensor, masks: Tensor | None, picture: Tensor) -> Tensor:
        """Return R x C x C Gram matrices of a layer's output for a picture, R of them with masks, else one."""
        if masks is None:
            return gram(as_maps(output))[None]
        if output.ndim != 4:
            raise UserError(f"regions: layer {layer} outputs no maps, so it has no regions; name other layers")
        height, width = output.shape[2:]
        return region_grams(as_maps(output), pooled(masks, _margin(picture), (height, width)))


def _margin(values: Tensor) -> tuple[int, int]:
    """Return rows and columns by which a picture is mirrored at its borders."""
    height, width = (min(_MARGIN, (side - 1) // 2) for side in values.shape[2:])
    return height, width


Watch: TypeAlias = Callable[[int, Losses, Tensor], None]  # step from 1 on, losses before it, values after it


def minimise(
    transfer: StyleTransfer, start: Tensor, steps: int, optimizer: Optimizer, learning_rate: float, watch: Watch
) -> Tensor:
    """Go from `start` towards the least loss, pixels staying in 0..1.

    Args:
        transfer: the loss.
        start: 1 x C x H x W in 0..1.
        steps: at most.
        optimizer: `lbfgs`: L-BFGS-B of SciPy, whose line search never lets the loss rise; `adam`: of torch.
        learning_rate: of Adam, in pixel values of 0..1.
        watch: called after each step.
    """
    match optimizer:
        case "lbfgs":
            return _lbfgs(transfer, start, steps, watch)
        case "adam":
            return _adam(transfer, start, steps, learning_rate, watch)
        case _:
            assert_never(optimizer)


def _lbfgs(transfer: StyleTransfer, start: Tensor, steps: int, watch: Watch) -> Tensor:
    from scipy.optimize import OptimizeResult, minimize

    tried: dict[float, Losses] = {}
    step = 0

    def to_values(flat: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(flat.astype(np.float32)).view(start.shape).to(start)

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = to_values(flat).requires_grad_(True)
        losses = transfer.losses(values)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        assert values.grad is not None
        numbers = {name: loss.item() for name, loss in losses.items()}
        tried[numbers["total"]] = numbers
        return numbers["total"], values.grad.reshape(-1).double().cpu().numpy()

    def follow(intermediate_result: OptimizeResult) -> None:
        nonlocal step
        step += 1
        losses = tried[intermediate_result.fun]
        tried.clear()
        watch(step, losses, to_values(intermediate_result.x))

    limits = {"maxiter": steps, "maxfun": 10 * steps + 20, "maxcor": _MEMORY, "ftol": 0.0, "gtol": 0.0}
    first = start.reshape(-1).double().cpu().numpy()
    found = minimize(
        evaluate, first, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(first), callback=follow, options=limits
    )
    return to_values(found.x)


def _adam(transfer: StyleTransfer, start: Tensor, steps: int, learning_rate: float, watch: Watch) -> Tensor:
    values = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([values], lr=learning_rate)
    for step in range(1, steps + 1):
        adam.zero_grad()
        losses = transfer.losses(values)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        adam.step()
        with torch.no_grad():
            values.clamp_(0, 1)
        watch(step, {name: loss.item() for name, loss in losses.items()}, values.detach())
    return values.detach()
