"""The web application: requests in, answers of the present model out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sightline.operations.serve.batching import Batcher
from sightline.operations.serve.champion import Holder
from sightline.operations.serve.explaining import Explainer
from sightline.operations.serve.limits import Limits, Refusal
from sightline.operations.serve.monitoring import CONTENT_TYPE, Counting, Monitoring
from sightline.operations.serve.tokens import Guard
from sightline.operations.serve.uploads import read_request
from sightline.system.json_text import json_bytes

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_KNOWN = frozenset({*_PAGE, "/predict", "/explain", "/model", "/health", "/metrics"})
_HEADERS = {  # the page loads nothing from elsewhere, and no other page may frame it
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_T = TypeVar("_T")


def build_app(
    holder: Holder,
    batcher: Batcher,
    monitoring: Monitoring,
    limits: Limits,
    close: Callable[[], None],
    token: str | None = None,
) -> Starlette:
    """Return the application; `close` is called when the last request is answered.

    With a token, all but the page's files and /health, which a load balancer asks, is for those who send it.
    """
    explainer = Explainer()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(explainer.close)
        await asyncio.to_thread(close)

    app = Starlette(lifespan=lifespan)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _refused)
    _add_model_routes(app, holder, batcher, explainer, limits)
    _add_other_routes(app, holder, monitoring)
    if token is not None:
        app.add_middleware(Guard, token=token, free={*_PAGE, "/health"})
    app.add_middleware(Counting, monitoring=monitoring, known=_KNOWN)
    return app


def _add_model_routes(app: Starlette, holder: Holder, batcher: Batcher, explainer: Explainer, limits: Limits) -> None:
    async def predict(request: Request) -> Response:
        model = holder.model
        uploads, options = await read_request(request, limits)
        model.mixes(options)  # refused before it waits
        answers = await _in_time(batcher.answer(uploads, model, options), limits)
        return _json({"model": model.name, "version": model.version, "predictions": answers})

    async def explain(request: Request) -> Response:
        model = holder.model
        uploads, _ = await read_request(request, limits)
        label, png = await _in_time(explainer.explain(model, uploads[0]), limits)
        heat = {"label": label, "heat_png": base64.b64encode(png).decode()}
        return _json({"model": model.name, "version": model.version, **heat})

    app.add_route("/predict", predict, methods=["POST"])
    app.add_route("/explain", explain, methods=["POST"])


def _add_other_routes(app: Starlette, holder: Holder, monitoring: Monitoring) -> None:
    async def model(_: Request) -> Response:
        return _json(holder.model.describe())

    async def health(_: Request) -> Response:
        told = {"ready": True, "model": holder.model.name, "version": holder.model.version}
        return _json(told | ({"problem": holder.problem} if holder.problem else {}))

    async def metrics(_: Request) -> Response:
        return Response(monitoring.text(), headers={"Content-Type": CONTENT_TYPE})

    async def page(request: Request) -> Response:
        content, kind = _pages[request.url.path]
        return Response(content, media_type=kind, headers=_HEADERS)

    folder = resources.files("sightline.operations.serve") / "page"
    _pages = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _PAGE.items()}
    for path in _pages:
        app.add_route(path, page)
    for handler in (model, health, metrics):
        app.add_route(f"/{handler.__name__}", handler)


async def _in_time(work: Awaitable[_T], limits: Limits) -> _T:
    try:
        return await asyncio.wait_for(work, limits.seconds)
    except TimeoutError:
        line = f"no answer within {limits.seconds:g} s; send fewer or smaller images, or try again later"
        raise Refusal(504, line, {"Retry-After": "1"}) from None


async def _refused(_: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return _json({"error": error.line}, error.status, error.headers)
        case HTTPException():
            known = ", ".join(sorted(_KNOWN))
            line = f"{error.detail}; known paths are {known}"
            return _json({"error": line}, error.status_code, dict(error.headers or {}))
        case _:
            raise error


def _json(values: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_bytes(values), status, headers, "application/json")
