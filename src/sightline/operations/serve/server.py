"""Runs the application on a port until it is stopped; requests in progress are finished then."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

from sightline.operations.serve.app import build_app
from sightline.operations.serve.batching import Batcher
from sightline.operations.serve.champion import Follower, Holder
from sightline.operations.serve.limits import Limits
from sightline.operations.serve.monitoring import Monitoring
from sightline.operations.serve.served_model import ServedModel
from sightline.system.errors import UserError

_GRACE = 30  # seconds for requests under way when the server is stopped


@dataclass(frozen=True)
class Batching:
    """How images are put together.

    Attributes:
        max_batch: images.
        max_wait_ms: milliseconds that an image waits for others.
        workers: threads that decode and predict.
    """

    max_batch: int = 8
    max_wait_ms: float = 0.0
    workers: int = 1


@dataclass(frozen=True)
class Following:
    """How a newer version is found: see `Follower`."""

    find: Callable[[], str | None]
    load: Callable[[], ServedModel]
    seconds: float = 5.0


def build_service(
    model: ServedModel, limits: Limits, batching: Batching, following: Following | None, token: str | None = None
) -> Starlette:
    """Return the application of a model with the threads behind it, which end with the application."""
    # The queue's length is asked for by the figures, which the queue informs about its batches.
    monitoring = Monitoring(lambda: batcher.waiting)
    wait = batching.max_wait_ms / 1000
    batcher = Batcher(limits, batching.max_batch, wait, batching.workers, monitoring.batch)
    holder = Holder(model, lambda present: monitoring.model(present.name, present.version))
    follower = None
    if following is not None:
        follower = Follower(holder, following.find, following.load, following.seconds)

    def close() -> None:
        if follower is not None:
            follower.close()
        batcher.close()

    return build_app(holder, batcher, monitoring, limits, close, token)


def run_server(app: Starlette, listening: socket.socket) -> None:
    """Answer requests until SIGTERM or ctrl-c."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE, ws="none"
    )
    # uvicorn raises the signal again after a graceful end, which is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # Python's collector goes through all objects again and again; those of the libraries and the model are there to
    # stay. It took a third of what a request costs in Python.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listening])


def open_port(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 takes a free one.

    Raises:
        UserError: the address is taken, or not one of this machine.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{host}:{port}: {reason.lower()}; choose another address with --host or --port") from None


def listening_here(listening: socket.socket) -> bool:
    """Return whether a socket is bound to an address that only this machine reaches."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
