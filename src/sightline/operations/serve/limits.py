"""What a request may ask for, and the refusal of one that asks for more: status code and one line with the remedy."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

from PIL import Image

from sightline.data.image_formats import format_of, open_header, require_whole
from sightline.system.errors import first_line

MEGABYTE = 1_000_000
warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a separate limit, next to that of the server


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one request, or many, from taking the server down.

    Attributes:
        body_megabytes: of a request, all its images together.
        images: of a request.
        megapixels: of an image, and of all images of a batch together unless there is one; read from their headers
            before any pixel is decoded, so the memory for decoded images is bounded.
        queue: images that wait at the same time; more are refused with 503.
        queue_megabytes: of the encoded images that wait.
        seconds: from the first byte of a request to its answer.
    """

    body_megabytes: float = 32.0
    images: int = 32
    megapixels: float = 50.0
    queue: int = 512
    queue_megabytes: float = 256.0
    seconds: float = 30.0


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of the program
    """An answer with another status than 200.

    Attributes:
        status: the HTTP status code.
        line: what was wrong, and the remedy.
        headers: further ones of the answer.
    """

    def __init__(self, status: int, line: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.line, self.headers = status, line, headers or {}
        super().__init__(line)


@dataclass(frozen=True)
class Upload:
    """An image as it was sent.

    Attributes:
        name: for messages: the file's name, or its place in the request.
        encoded: the bytes.
        pixels: height x width, by the header.
    """

    name: str
    encoded: bytes = field(repr=False)
    pixels: int


def check_header(name: str, encoded: bytes, limits: Limits) -> Upload:
    """Read the header of an image, decoding nothing.

    Raises:
        Refusal: 422 for no bytes, 415 for what is not an image, 413 for too many pixels.
    """
    if not encoded:
        raise Refusal(422, f"{name}: has 0 bytes; send the file's content")
    try:
        format_of(encoded)
    except ValueError as error:
        raise Refusal(415, f"{name}: {error}; send JPEG, PNG, WebP, TIFF or BMP") from None
    try:
        with open_header(encoded) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0]  # Image size (N pixels)
        raise Refusal(413, f"{name}: {size} is {_too_large(limits)}") from None
    except Exception as error:  # damaged headers raise nearly anything
        raise Refusal(422, f"{name}: its header cannot be read ({first_line(error)}); send it again") from None
    if width * height > limits.megapixels * MEGABYTE:
        raise Refusal(413, f"{name}: {width} x {height} pixels are {_too_large(limits)}")
    return Upload(name, encoded, width * height)


def check_whole(upload: Upload) -> None:
    """Find that an image ends too early, where OpenCV would fill what is missing with grey.

    Raises:
        Refusal: 422.
    """
    try:
        require_whole(upload.encoded)
    except ValueError as error:
        raise unreadable(upload.name, str(error)) from None


def unreadable(name: str, reason: str) -> Refusal:
    """Return the refusal of an image that cannot be decoded to its end."""
    return Refusal(422, f"{name}: {reason}; was it sent completely?")


def _too_large(limits: Limits) -> str:
    return f"more than {limits.megapixels:g} megapixels; send it smaller (or start with --max-megapixels)"
