"""Counts requests and batches, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCIES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
_BATCHES = (1, 2, 4, 8, 16, 32, 64)  # images


class Monitoring:
    """The figures of one server.

    Attributes:
        batch: receives the number of images of each batch.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "sightline_requests", "Requests answered, by path and status", ["path", "status"], registry=registry
        )
        self._latency = Histogram(
            "sightline_request_seconds",
            "Time from a request's headers to its complete answer",
            ["path"],
            buckets=_LATENCIES,
            registry=registry,
        )
        self._batches = Histogram("sightline_batch_images", "Images per batch", buckets=_BATCHES, registry=registry)
        queue = Gauge("sightline_queue_images", "Images waiting for a prediction", registry=registry)
        queue.set_function(waiting)
        self._model = Info("sightline_model", "The model being served", registry=registry)
        self.batch: Callable[[int], None] = self._batches.observe

    def model(self, name: str, version: str) -> None:
        """Tell which model answers from now on."""
        self._model.info({"name": name, "version": version})

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)


class Counting:
    """ASGI middleware that reports each request to `monitoring`; paths that are not `known` count as one."""

    def __init__(self, app: ASGIApp, monitoring: Monitoring, known: frozenset[str]) -> None:
        self._app, self._monitoring, self._known = app, monitoring, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note status and time when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            path = scope["path"] if scope["path"] in self._known else "other"
            self._monitoring.request(path, status, time.perf_counter() - started)
