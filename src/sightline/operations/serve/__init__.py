"""Answers images over HTTP, and with a page for people."""

from sightline.operations.serve.limits import Limits
from sightline.operations.serve.served_model import ServedModel, load_served
from sightline.operations.serve.server import Batching, Following, build_service, open_port, run_server

__all__ = [
    "Batching",
    "Following",
    "Limits",
    "ServedModel",
    "build_service",
    "load_served",
    "open_port",
    "run_server",
]
