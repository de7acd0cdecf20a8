"""What can be measured of any image, regardless of its subject."""

from __future__ import annotations

import cv2
import numpy as np

from sightline.data.structures import UINT8

# Each statistic with what it measures and its unit.
STATISTICS = {
    "brightness": "mean grey level, 0 to 1",
    "contrast": "standard deviation of grey levels, 0 to 0.5",
    "saturation": "mean saturation (HSV), 0 to 1",
    "red-green": "mean of red minus green, -1 to 1",
    "yellow-blue": "mean of red and green minus blue, -1 to 1",
    "sharpness": "log10 of the variance of the Laplacian (grey levels of 255); low: blurred",
    "noise": "standard deviation of noise, grey levels of 255",
    "size": "square root of the number of pixels",
    "aspect": "width divided by height",
}
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def image_statistics(image: UINT8) -> dict[str, float]:
    """Return the `STATISTICS` of an image, H x W x 3 RGB.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000), noise the estimate of Immerkaer (1996), which
    fine texture raises too; the two axes of colour are those of Hasler and Suesstrunk (2003).
    """
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    red, green, blue = (float(value) / 255 for value in image.reshape(-1, 3).mean(0))
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    noise = np.abs(cv2.filter2D(grey, cv2.CV_32F, _NOISE))
    return {
        "brightness": float(grey.mean()) / 255,
        "contrast": float(grey.std()) / 255,
        "saturation": float(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1].mean()) / 255,
        "red-green": red - green,
        "yellow-blue": (red + green) / 2 - blue,
        "sharpness": float(np.log10(edges.var() + 1e-3)),
        "noise": float(np.sqrt(np.pi / 2) / 6 * noise.mean()),
        "size": float(np.sqrt(height * width)),
        "aspect": width / height,
    }
