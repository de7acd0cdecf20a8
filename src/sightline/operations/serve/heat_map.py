"""An image in, its most confident class and a heat map of it out, as a picture."""

from __future__ import annotations

import numpy as np

from sightline.data.encoding import encode_png
from sightline.evaluation.explain import heat_map, surest_targets
from sightline.operations.serve.limits import Refusal, Upload
from sightline.operations.serve.served_model import ServedModel
from sightline.system.errors import UserError


def encoded_heat_map(model: ServedModel, upload: Upload) -> tuple[str, bytes]:
    """Return the most confident class of an image, and its Grad-CAM as grey PNG of the upright original's size.

    Raises:
        Refusal: 422 where the model gives no heat map or an empty one, or the image cannot be decoded.
    """
    try:
        network = model.network()
        pixels, placed = model.decode(upload)
        [target] = surest_targets(network, pixels[None])
        [heat] = heat_map(network, pixels[None], [target])
    except UserError as error:
        raise Refusal(422, f"{model.name}: no heat map: {error.lines[0]}") from None
    if not heat.any():
        raise Refusal(422, f"{model.name}: the heat map is empty: no part of this image supports {target.name}")
    original = placed.map_into_original(heat, linear=True)
    return target.name, encode_png(np.rint(255 * original.clip(0, 1)).astype(np.uint8))
