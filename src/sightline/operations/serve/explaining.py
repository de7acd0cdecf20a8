"""Heat maps one at a time: those who come meanwhile are refused at once, and nothing piles up."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from sightline.operations.serve.heat_map import encoded_heat_map
from sightline.operations.serve.limits import Refusal, Upload
from sightline.operations.serve.served_model import ServedModel


class Explainer:
    """One thread that makes heat maps.

    It hooks into the network, so two at a time would see each other's gradients; and it cannot be stopped, so it counts
    as busy until it has ended, also where nobody waits for its answer any more.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explaining")

    async def explain(self, model: ServedModel, upload: Upload) -> tuple[str, bytes]:
        """Return the most confident class of an image, and its heat map as PNG.

        Raises:
            Refusal: 503 while another is made; 422 where there is none of this model or image.
        """
        if not self._busy.acquire(blocking=False):
            raise Refusal(503, "another heat map is being made; try again in a second", {"Retry-After": "1"})
        try:
            work = self._thread.submit(encoded_heat_map, model, upload)
        except BaseException:
            self._busy.release()
            raise
        work.add_done_callback(lambda _: self._busy.release())  # also where it is given up before it begins
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """Wait for the map that is being made."""
        self._thread.shutdown()
