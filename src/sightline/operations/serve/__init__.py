"""Answers images over HTTP, and with a page for people."""

from sightline.operations.serve.limits import Limits
from sightline.operations.serve.served_model import ServedModel, load_served
from sightline.operations.serve.server import Batching, Following, build_service, listening_here, open_port, run_server
from sightline.operations.serve.tokens import read_token

__all__ = [
    "Batching",
    "Following",
    "Limits",
    "ServedModel",
    "build_service",
    "listening_here",
    "load_served",
    "open_port",
    "read_token",
    "run_server",
]
