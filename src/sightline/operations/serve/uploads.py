"""The body of a request in, its images and options out; everything that is wrong with it becomes one line."""

from __future__ import annotations

import asyncio
import base64
import binascii
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from sightline.operations.serve.limits import MEGABYTE, Limits, Refusal, Upload, check_header
from sightline.operations.serve.served_model import Options

_LINGER = 2.0  # seconds
_REMEDY = "send multipart/form-data with files named `image`, or JSON with `image` or `images` in base64"


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    top: Annotated[int, Field(ge=1)] | None = None
    pictures: bool = False
    styles: str | None = None  # NAME:WEIGHT,NAME:WEIGHT


class _Body(_Query):
    image: str | None = None
    images: list[str] = []


Model = TypeVar("Model", bound=_Query)


async def read_request(request: Request, limits: Limits) -> tuple[list[Upload], Options]:
    """Return the images of a request, by header of the formats and sizes that are read, and what to answer.

    Raises:
        Refusal: 413, 415 or 422; 408 where the body does not come.
    """
    body = _Bounded(request, limits)
    try:
        async with asyncio.timeout(limits.seconds):
            query = _parsed(_Query, dict(request.query_params))
            images, asked = await _read_body(body.request, query)
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {limits.seconds:g} s; send it again") from None
    except Refusal:
        await body.drain()
        raise
    if not images:
        raise Refusal(422, f"no image in the request; {_REMEDY}")
    if len(images) > limits.images:
        raise Refusal(413, f"{len(images)} images, at most {limits.images} are allowed; send fewer at once")
    options = Options(asked.top, asked.pictures, _styles(asked.styles))
    return [check_header(name, encoded, limits) for name, encoded in images], options


async def _read_body(request: Request, query: _Query) -> tuple[list[tuple[str, bytes]], _Query]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    match kind:
        case "multipart/form-data":
            return await _from_form(request), query
        case "application/json":
            body = _parsed(_Body, await request.body())
            texts = ([body.image] if body.image is not None else []) + body.images
            given = query.model_copy(
                update={name: getattr(body, name) for name in body.model_fields_set & {"top", "pictures", "styles"}}
            )
            return [_from_base64(f"image {number}", text) for number, text in enumerate(texts, 1)], given
        case _:
            raise Refusal(415, f"content type {kind or 'is missing'}; {_REMEDY}")


async def _from_form(request: Request) -> list[tuple[str, bytes]]:
    images: list[tuple[str, bytes]] = []
    try:
        async with request.form() as form:
            for name, value in form.multi_items():
                if name != "image" or not isinstance(value, UploadFile):
                    raise Refusal(422, f"{name}: unknown part of the form; {_REMEDY}")
                images.append((value.filename or f"image {len(images) + 1}", await value.read()))
    except HTTPException as error:
        raise Refusal(422, f"the form cannot be read ({error.detail}); {_REMEDY}") from None
    return images


def _styles(text: str | None) -> tuple[tuple[str, float], ...] | None:
    """NAME:WEIGHT,NAME:WEIGHT -> weights by style, the same for every order of the same ones."""
    if text is None:
        return None
    found: dict[str, float] = {}
    for word in text.split(","):
        name, _, weight = word.rpartition(":")
        try:
            found[name] = float(weight)
        except ValueError:
            raise Refusal(422, f"styles: {word}: must be NAME:WEIGHT, e.g. styles=sea:0.3,night:0.7") from None
    return tuple(sorted(found.items()))


def _from_base64(name: str, text: str) -> tuple[str, bytes]:
    try:
        return name, base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(422, f"{name}: is not base64; encode the file's bytes without a prefix") from None


class _Bounded:
    """A request whose body ends in a refusal as soon as it is too large."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self.request = Request(request.scope, self._receive)
        self._source, self._limits = request, limits
        self._received, self._ended = 0, False

    async def _receive(self) -> Message:
        message = await self._source.receive()
        self._received += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._received > self._limits.body_megabytes * MEGABYTE:
            told = f"the body is over {self._limits.body_megabytes:g} MB"
            raise Refusal(413, f"{told}; send fewer or smaller images (or start with --max-body-mb)")
        return message

    async def drain(self) -> None:
        """Throw away the rest, for a while: a sender that is cut off while it sends never sees the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while not self._ended:
                    self._ended = not (await self._source.receive()).get("more_body", False)


def _parsed(kind: type[Model], values: dict[str, Any] | bytes) -> Model:
    try:
        return kind.model_validate_json(values) if isinstance(values, bytes) else kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the JSON body"
        known = ", ".join(kind.model_fields)
        raise Refusal(422, f"{place}: {first['msg']}; known fields are {known}") from None
