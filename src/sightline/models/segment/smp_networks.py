"""Segmenters of segmentation-models-pytorch: a decoder over an encoder of timm's or its own."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sightline.models.classify.hub import Weights, from_hub, require_size
from sightline.models.segment.dense_networks import DenseNetwork
from sightline.models.weights import body_of_detector, load_strictly, read_weights
from sightline.system.errors import UserError, first_line, nearest

HALVINGS = 5  # of a whole encoder


class SmpSegmenter(DenseNetwork):
    """A segmenter of the library, with all that is new when its encoder comes pretrained in one part, `head`.

    Args:
        model: a `SegmentationModel` of the library.
        depth: how often its encoder halves the sides.
    """

    def __init__(self, model: Any, depth: int) -> None:
        halved = 2**depth
        super().__init__(halved if model.requires_divisible_input_shape else 1, 2 * halved)
        self.encoder: nn.Module = model.encoder
        self.head = nn.ModuleDict({"decoder": model.decoder, "scores": model.segmentation_head})

    def scores(self, images: Tensor) -> Tensor:
        """N x C x H x W -> N x K x H x W."""
        alone = self.training and len(images) == 1
        if alone:  # some decoders normalise one value per image, which takes two images
            images = images.repeat(2, 1, 1, 1)
        assert isinstance(self.head, nn.ModuleDict)
        scores: Tensor = self.head["scores"](self.head["decoder"](self.encoder(images)))
        return scores[:1] if alone else scores


def smp_network(
    name: str,
    backbone: str,
    channels: int,
    size: int,
    classes: int,
    weights: Weights,
    width: int | None,
    depth: int | None,
) -> SmpSegmenter:
    """Build a segmenter whose decoder has the library's sizes at `width` 16, and in proportion otherwise.

    Arguments and errors are those of `build_segmenter`.
    """
    import segmentation_models_pytorch as smp

    known = {own.__name__: own for own in smp.MODEL_ARCHITECTURES_MAPPING.values() if own is not smp.DPT}
    if name not in known:  # DPT's decoder needs more than maps
        raise UserError(f"task.architecture: smp:{name}: not available{nearest(name, list(known), most=3)}")
    what, encoder = f"smp:{name} over {backbone}", _encoder_name(backbone)
    taken = signature(known[name].__init__).parameters
    usual = taken["encoder_depth"].default
    depth = depth or usual
    if depth != usual and "decoder_channels" in taken and width is None:
        width = 16  # the library's list is for its own depth only
    options = {"in_channels": channels, "classes": classes, "encoder_depth": depth} | _widths(name, width, depth)

    def make(encoder_weights: str | bool | None) -> Any:
        return known[name](encoder_name=encoder, encoder_weights=encoder_weights, **options)

    if weights == "pretrained":
        model = from_hub(what, lambda: make(True if encoder.startswith("tu-") else "imagenet"))
    else:
        try:
            model = make(None)
        except Exception as error:  # the library raises many types for what does not go together
            raise UserError(f"task: {what} with depth {depth}: {first_line(error)}") from None
    network = SmpSegmenter(model, depth)
    if isinstance(weights, Path):
        _load(network, read_weights(weights), str(weights), channels, what)
    require_size(network, channels, size, what, "does not support it")
    return network


def _encoder_name(backbone: str) -> str:
    """Return the library's name of an encoder, `timm:NAME` or `smp:NAME`."""
    import segmentation_models_pytorch as smp
    import timm

    library, _, name = backbone.partition(":")
    own = smp.encoders.get_encoder_names()
    if library == "timm":
        if not timm.is_model(name):
            raise UserError(
                f"task.backbone: {backbone}: no such network in timm{nearest(name, timm.list_models(), most=3)}"
            )
        return f"tu-{name}"
    if name not in own:
        raise UserError(
            f"task.backbone: {backbone}: no such encoder in segmentation-models-pytorch{nearest(name, own, most=3)}"
        )
    return name


def _widths(name: str, width: int | None, depth: int) -> dict[str, Any]:
    """Return the arguments that set the decoder's maps; none for the library's."""
    if width is None:
        return {}
    pyramid = [width * 2**stage for stage in reversed(range(depth))]
    match name:
        case "Unet" | "UnetPlusPlus":
            return {"decoder_channels": pyramid}
        case "MAnet":
            return {"decoder_channels": pyramid, "decoder_pab_channels": 4 * width}
        case "FPN":
            return {"decoder_pyramid_channels": 16 * width, "decoder_segmentation_channels": 8 * width}
        case "DeepLabV3" | "DeepLabV3Plus" | "UPerNet":
            return {"decoder_channels": 16 * width}
        case "Segformer":
            return {"decoder_segmentation_channels": 16 * width}
        case "PSPNet":
            return {"psp_out_channels": 32 * width}
        case "PAN":
            return {"decoder_channels": 2 * width}
        case _:
            raise UserError(f"task.width: {width}: smp:{name} defines it; leave it out")


def _load(network: SmpSegmenter, state: dict[str, Tensor], source: str, channels: int, what: str) -> None:
    """Load a whole segmenter, or only the encoder where the file holds a classifier or detector with its body."""
    if any(key.startswith("encoder.") for key in state):
        load_strictly(network, state, source, what)
        return
    state, own = body_of_detector(state), network.encoder.state_dict()
    wrapped = all(key.startswith("model.") for key in own)  # timm's networks are inside the library's encoder
    state = {f"model.{key}": value for key, value in state.items()} if wrapped else state
    parts = {_part(key, wrapped) for key in own}
    body = {key: value for key, value in state.items() if _part(key, wrapped) in parts}
    if channels == 1:  # summed kernels see grey as they saw R = G = B
        first = next(key for key, value in own.items() if value.ndim == 4)
        if first in body:
            body[first] = body[first].sum(1, keepdim=True)
    load_strictly(network.encoder, body, source, f"the encoder of {what}")


def _part(key: str, wrapped: bool) -> str:
    """Return which part of a network a weight belongs to; heads, which encoders lack, are separate parts."""
    return ".".join(key.split(".")[: 2 if wrapped else 1])
