"""Single images in, answers out, predicted in batches that form while the processor is busy."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sightline.operations.serve.limits import MEGABYTE, Limits, Refusal, Upload
from sightline.operations.serve.served_model import Input, Options, ServedModel
from sightline.system.processors import usable_processors

Answer = dict[str, Any]
_log = logging.getLogger("sightline.operations.serve")


@dataclass(frozen=True, eq=False)
class _Item:
    """An image that waits; it keeps the model it came to, so that a change of models does not touch it."""

    upload: Upload
    model: ServedModel
    options: Options
    arrived: float
    future: asyncio.Future[Answer]

    def goes_with(self, other: _Item) -> bool:
        """Return whether one pass of the network can answer both."""
        return self.model is other.model and self.options.styles == other.options.styles

    def settle(self, outcome: Answer | Exception) -> None:
        """Hand over an answer, or why there is none, from any thread."""

        def hand_over() -> None:
            if self.future.done():  # given up in the meantime
                return
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)

        self.future.get_loop().call_soon_threadsafe(hand_over)


class Batcher:
    """Threads that decode and predict what waits in a bounded queue.

    A batch begins with the image that has waited longest and takes what came to the same model, until it is full or
    its first image has waited `max_wait` seconds. Under load batches are full at once and nothing waits for nothing.

    Args:
        limits: of the queue, and of the pixels of a batch.
        max_batch: images.
        max_wait: seconds.
        workers: threads, each of which decodes and predicts separate batches.
        watch: receives the size of each batch.
    """

    def __init__(
        self, limits: Limits, max_batch: int, max_wait: float, workers: int, watch: Callable[[int], None]
    ) -> None:
        self._limits, self._max_batch, self._max_wait, self._watch = limits, max_batch, max_wait, watch
        self._waiting: deque[_Item] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._threads_each = max(1, usable_processors() // workers)
        self._threads = [threading.Thread(target=self._work, name=f"batches-{number}") for number in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return len(self._waiting)

    async def answer(self, uploads: Sequence[Upload], model: ServedModel, options: Options) -> list[Answer]:
        """Return an answer for each image.

        Raises:
            Refusal: 503 where the queue is full, 422 where an image cannot be decoded.
        """
        loop, now = asyncio.get_running_loop(), time.monotonic()
        items = [_Item(upload, model, options, now, loop.create_future()) for upload in uploads]
        self._put(items)
        try:
            return await asyncio.gather(*(item.future for item in items))
        finally:
            for item in items:  # after a timeout or a refusal the others need not be predicted
                item.future.cancel()

    def _put(self, items: list[_Item]) -> None:
        size = sum(len(item.upload.encoded) for item in items)
        with self._changed:
            full = len(self._waiting) + len(items) > self._limits.queue
            if full or self._bytes + size > self._limits.queue_megabytes * MEGABYTE or self._closed:
                line = f"{len(self._waiting)} images are waiting already; try again in a second"
                raise Refusal(503, line, {"Retry-After": "1"})
            self._waiting.extend(items)
            self._bytes += size
            self._changed.notify()

    def _work(self) -> None:
        torch.set_num_threads(self._threads_each)  # counts for the thread that calls it
        while batch := self._next_batch():
            try:
                self._predict(batch)
            except Exception as error:
                _log.exception("a batch of %d images failed", len(batch))
                for item in batch:
                    item.settle(Refusal(500, f"the model failed on this batch ({type(error).__name__}); see the log"))

    def _next_batch(self) -> list[_Item]:
        """Wait for the next batch; none when the queue is closed and empty."""
        with self._changed:
            batch: list[_Item] = []
            while not self._fill(batch):
                left = batch[0].arrived + self._max_wait - time.monotonic() if batch else None
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            if self._waiting:
                self._changed.notify()  # another thread may take the rest
            return batch

    def _fill(self, batch: list[_Item]) -> bool:
        """Move what fits from the queue to a batch; return whether nothing more can come."""
        allowed = self._limits.megapixels * MEGABYTE - sum(item.upload.pixels for item in batch)
        while self._waiting and len(batch) < self._max_batch:
            item = self._waiting[0]
            if batch and (item.upload.pixels > allowed or not item.goes_with(batch[0])):
                return True
            self._waiting.popleft()
            self._bytes -= len(item.upload.encoded)
            if not item.future.cancelled():
                batch.append(item)
                allowed -= item.upload.pixels
        return len(batch) == self._max_batch or self._closed

    def _predict(self, batch: list[_Item]) -> None:
        model = batch[0].model
        ready: list[tuple[_Item, Input]] = []
        for item in batch:
            try:
                ready.append((item, model.decode(item.upload)))
            except Refusal as refusal:
                item.settle(refusal)
        if not ready:
            return
        self._watch(len(ready))
        predictions = model.predict([decoded for _, decoded in ready], batch[0].options)
        for (item, (_, placed)), prediction in zip(ready, predictions, strict=True):
            item.settle(model.answer(prediction, placed, item.options))

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
