"""Small models with random weights, and a real server in a thread."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import uvicorn
from pydantic import TypeAdapter
from torch import nn

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.structures import LabelMap
from sightline.operations.serve import Batching, Following, Limits, ServedModel, build_service
from sightline.tasks import build
from sightline.training.artifact.folder import ModelCard, write_model

DIGITS = tuple("0123456789")


def write_random_model(
    folder: Path,
    task: dict[str, Any],
    size: int = 28,
    channels: int = 1,
    classes: tuple[str, ...] = DIGITS,
    change: Callable[[nn.Module], None] = lambda _: None,
    **more: Any,
) -> Path:
    """Write a model directory with random weights, or with what `change` makes of the network."""
    labels = LabelMap(classes, classes, **more)
    config = TypeAdapter(TaskConfig).validate_python(task)
    image = Input(size=size, channels=channels)  # type: ignore[arg-type]
    card = ModelCard(config, image, labels, "float32", False, 1, "d" * 64)
    built = build(config, image, labels)
    change(built.network)
    write_model(folder, built, card)
    return folder


def photograph(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Smooth random colours, H x W x 3 uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(pixels: np.ndarray, suffix: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


class Running:
    """A server on a free port."""

    def __init__(
        self,
        model: ServedModel,
        limits: Limits,
        batching: Batching,
        following: Following | None,
        token: str | None = None,
    ) -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = build_service(model, limits, batching, following, token)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none"))
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        self.client = httpx.Client(base_url=self.address, timeout=60, trust_env=False)

    def send(self, *images: bytes, path: str = "/predict", **query: Any) -> httpx.Response:
        files = [("image", (f"{number}.jpg", image)) for number, image in enumerate(images)]
        return self.client.post(path, files=files, params=query)

    def end(self) -> None:
        """Tell the server to end, and wait until it has."""
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self.client.close()
        self.end()


Start = Callable[..., Running]
