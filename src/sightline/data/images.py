"""Decodes image bytes and brings images to a network's input size; the same for training and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.data.deep_pixels import to_8_bits
from sightline.data.image_formats import format_of
from sightline.data.jpeg import PARTS, shrinking, without_padding
from sightline.data.orientation import as_stored, orientation, upright
from sightline.data.structures import FLOAT32, UINT8
from sightline.data.tiff_tags import BITS, SAMPLE_FORMAT, find_tag

Size = int | tuple[int, int]  # of a network's input, pixels: the side of a square, or height and width
Resize = Literal["letterbox", "stretch", "crop"]
Interpolation = Literal["area", "bilinear", "bicubic"] | None  # None: area
_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
PAD_VALUE = 114  # mid grey, as common in letterboxing, so padding is not a strong edge


# May have 16 bits of which fewer are used. A JPEG has 8 bits, and OpenCV scales an AVIF by the bits that it declares.
_DEEP = ("PNG", "TIFF", "PPM", "JPEG2000")
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP")
_AFTER_IHDR, _CHUNK = 33, 12  # bytes: of signature and IHDR, and of a chunk without content
cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # what cannot be decoded is reported in one line; OpenCV prints lines of C++


class Picture(NamedTuple):
    """A decoded image and how its file was read.

    Attributes:
        pixels: H x W x channels uint8, RGB or grey, upright.
        height, width: of the upright image; pixels has fewer where less was asked for.
        orientation: of the stored image, 1 to 8 as in EXIF; 1 is upright.
        highest: the greatest stored value where a channel has 16 bits, else None.
        white: the stored value that became 255.
    """

    pixels: UINT8
    height: int
    width: int
    orientation: int
    highest: int | None = None
    white: int = 255


def decode(encoded: bytes | memoryview, channels: int) -> UINT8:
    """Return H x W x `channels` uint8, RGB or grey, upright; alpha is dropped, later pages and frames are not read.

    Raises:
        ValueError: the bytes are not a supported image; the message says what they are.
    """
    return read(encoded, channels).pixels


def read(encoded: bytes | memoryview, channels: int, least: int | None = None) -> Picture:
    """Return what `decode` does, and how it came about.

    Args:
        encoded: bytes of the file.
        channels: 1 for grey, 3 for RGB.
        least: pixels of the shorter side that suffice, where they do: a JPEG is then decoded at a half, a quarter or an
            eighth, which takes less time and reads the file no less to its end.

    Raises:
        ValueError: the bytes are not a supported image; the message says what they are.
    """
    if not len(encoded):
        raise ValueError("has 0 bytes")
    encoded = bytes(encoded)  # Arrow's are signed; a copy costs a hundredth of decoding
    kind = format_of(encoded)
    turned = orientation(encoded, kind)
    grey = channels == 1 and _may_be_grey(encoded, kind)
    shape, shrunk = shrinking(encoded, least) if kind == "JPEG" and least is not None else (None, 1)
    image = _decoded(encoded, kind, turned, grey, shrunk)
    if shape is None:
        shape = image.shape[:2]
    elif shrunk > 1:
        image = without_padding(image, shape, shrunk)
    highest, white = None, 255
    if image.dtype.char == "H" or kind == "PPM":
        image, highest, white = to_8_bits(image, encoded, kind)
    if channels == 1 and not grey:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if turned > 1:
        image = np.ascontiguousarray(upright(image, turned))
    height, width = shape if turned < 5 else shape[::-1]
    return Picture(image.reshape(*image.shape[:2], channels), height, width, turned, highest, white)


def _decoded(encoded: bytes, kind: str, turned: int, grey: bool, shrunk: int = 1) -> NDArray[Any]:
    """Return H x W (x 3) as stored, RGB or grey, with 8 or 16 bits; of a JPEG fewer pixels, by `shrunk`."""
    # As RGB, OpenCV 4.14 gives wrong values of 16-bit colour TIFFs; as BGR it does not.
    colour = cv2.IMREAD_COLOR_BGR if kind == "TIFF" else cv2.IMREAD_COLOR_RGB
    flag = (cv2.IMREAD_GRAYSCALE if grey else colour) | cv2.IMREAD_IGNORE_ORIENTATION | PARTS.get(shrunk, 0)
    if kind in _DEEP:
        flag |= cv2.IMREAD_ANYDEPTH
    if kind == "TIFF" and turned > 1:
        encoded = as_stored(encoded)
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flag)
    except cv2.error as error:  # beyond OpenCV's bounds
        raise ValueError(f"{kind} that cannot be decoded ({error.err or 'too large'})") from None
    if image is None or image.dtype.char not in "BH":
        if kind == "TIFF" and (told := _unread_values(encoded)):
            raise ValueError(f"TIFF of {told}, which is not supported")
        raise ValueError(f"{kind} that cannot be decoded: damaged, truncated, or of an unsupported kind")
    decoded: NDArray[Any] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if kind == "TIFF" and not grey else image
    return decoded


def _unread_values(encoded: bytes) -> str:
    """Return what a TIFF holds where that is not 1, 8 or 10 to 16 bits without sign."""
    tags = (find_tag(encoded, name) for name in (BITS, SAMPLE_FORMAT))
    bits, layout = (1 if tag is None else tag.value for tag in tags)
    if layout == 1 and bits in (1, 8, 10, 12, 14, 16):
        return ""
    return f"{bits}-bit { {2: 'signed numbers', 3: 'floats'}.get(layout, 'values') }"


def _may_be_grey(encoded: bytes, kind: str) -> bool:
    """Return whether a decoder's own grey is that of the colour image.

    libpng makes another grey of a PNG with a gamma or a profile, though the same colours; and the range of 16-bit
    values must not depend on whether colours are wanted.
    """
    if kind != "PNG":
        return kind not in _DEEP
    if encoded[24:25] == b"\x10":  # bits a channel, in IHDR
        return False
    before_pixels = encoded[_AFTER_IHDR : max(encoded.find(b"IDAT"), 0)]
    return len(before_pixels) <= _CHUNK or not any(chunk in before_pixels for chunk in _COLOUR_CHUNKS)


def sides(size: Size) -> tuple[int, int]:
    """Return height and width of an input."""
    return (size, size) if isinstance(size, int) else size


@dataclass(frozen=True)
class Placement:
    """The position of an original image in a network's input: x' = x scale_x + left, y' = y scale_y + top, in pixels.

    Attributes:
        height, width, size: of the upright original, and of the input.
        scale_x, scale_y: input pixels per original pixel.
        left, top: of the original's corner in the input; negative where it is cropped.
    """

    height: int
    width: int
    size: Size
    scale_x: float
    scale_y: float
    left: float
    top: float

    def into_input(self, points: FLOAT32) -> FLOAT32:
        """... x 2 points (or ... x 4 xyxy boxes) of the original -> of the input."""
        scale, shift = self._affine(points.shape[-1])
        return (points * scale + shift).astype(np.float32)

    def into_original(self, points: FLOAT32) -> FLOAT32:
        """... x 2 points (or ... x 4 xyxy boxes) of the input -> of the original."""
        scale, shift = self._affine(points.shape[-1])
        return ((points - shift) / scale).astype(np.float32)

    def _affine(self, columns: int) -> tuple[FLOAT32, FLOAT32]:
        times = columns // 2
        return (
            np.tile(np.array([self.scale_x, self.scale_y], np.float32), times),
            np.tile(np.array([self.left, self.top], np.float32), times),
        )

    def map_into_input(self, classes: NDArray[Any], outside: int) -> NDArray[Any]:
        """H x W map of the original -> of the input, by nearest pixel, with `outside` where the original is not."""
        return self._warp(classes, sides(self.size), outside, inverse=False, method=cv2.INTER_NEAREST)

    def map_into_original(self, values: NDArray[Any], linear: bool = False) -> NDArray[Any]:
        """Map of the input, S x S (x C) -> H x W (x C) of the original; its edge goes on where it was cropped."""
        method = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
        return self._warp(values, (self.height, self.width), None, inverse=True, method=method)

    def _warp(
        self, values: NDArray[Any], shape: tuple[int, int], outside: int | None, inverse: bool, method: int
    ) -> NDArray[Any]:
        # Pixel centres are at + 0.5, which OpenCV's coordinates leave out.
        matrix = np.array([[self.scale_x, 0, self.left], [0, self.scale_y, self.top]])
        matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5
        border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
        flags = method | (cv2.WARP_INVERSE_MAP if inverse else 0)
        warped: NDArray[Any] = cv2.warpAffine(
            values, matrix, (shape[1], shape[0]), flags=flags, borderMode=border, borderValue=outside or 0
        )
        return warped


def place(height: int, width: int, size: Size, resize: Resize) -> Placement:
    """Return where `fit` puts an image of `height` x `width` pixels."""
    high, wide = sides(size)
    match resize:
        case "stretch":
            return Placement(height, width, size, wide / width, high / height, 0.0, 0.0)
        case "crop":
            rows, columns, top, left = _cut(height, width, size)
            across, down = wide / columns, high / rows
            return Placement(height, width, size, across, down, -left * across, -top * down)
        case "letterbox":
            new_height, new_width, top, left = _letterbox(height, width, size)
            return Placement(height, width, size, new_width / width, new_height / height, left, top)


def fit(image: UINT8, size: Size, resize: Resize, interpolation: Interpolation = None) -> UINT8:
    """Bring H x W x C to the size of an input.

    Args:
        image: to bring there.
        size: of the input, pixels.
        resize: what becomes of the aspect ratio.
        interpolation: `area` or None averages where it shrinks, and is linear where it grows; the others are
            antialiased, as Pillow does them, and so the evaluation transforms of timm and torchvision.
    """
    height, width, channels = image.shape
    high, wide = sides(size)
    if (height, width) == (high, wide):
        return image
    match resize:
        case "stretch":
            return _scaled(image, high, wide, interpolation)
        case "crop":
            rows, columns, top, left = _cut(height, width, size)
            return _scaled(image[top : top + rows, left : left + columns], high, wide, interpolation)
        case "letterbox":
            new_height, new_width, top, left = _letterbox(height, width, size)
            canvas = np.full((high, wide, channels), PAD_VALUE, np.uint8)
            canvas[top : top + new_height, left : left + new_width] = _scaled(
                image, new_height, new_width, interpolation
            )
            return canvas


def _letterbox(height: int, width: int, size: Size) -> tuple[int, int, int, int]:
    """Return height and width of the whole image in the input, and its upper left corner."""
    high, wide = sides(size)
    scale = min(high / height, wide / width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    return new_height, new_width, (high - new_height) // 2, (wide - new_width) // 2


def _cut(height: int, width: int, size: Size) -> tuple[int, int, int, int]:
    """Return height and width of the largest part with the proportions of the input, and its upper left corner."""
    high, wide = sides(size)
    shrunk = min(height / high, width / wide)
    rows, columns = min(height, max(1, round(high * shrunk))), min(width, max(1, round(wide * shrunk)))
    return rows, columns, (height - rows) // 2, (width - columns) // 2


def _scaled(image: UINT8, height: int, width: int, interpolation: Interpolation) -> UINT8:
    if interpolation in ("bilinear", "bicubic"):  # OpenCV's do not average where an image shrinks
        grey = image.shape[2] == 1
        flat = Image.fromarray(image[..., 0] if grey else np.ascontiguousarray(image))
        resampled: UINT8 = np.asarray(flat.resize((width, height), _PILLOW[interpolation]))
        return resampled.reshape(height, width, image.shape[2])
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: UINT8 = cv2.resize(image, (width, height), interpolation=method)
    return scaled.reshape(height, width, image.shape[2])
