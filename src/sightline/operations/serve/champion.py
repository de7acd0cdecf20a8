"""Follows an alias of the registry: a new version is loaded next to the old one and replaces it when it is warm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sightline.operations.serve.served_model import ServedModel
from sightline.system.errors import first_line

_RETRY = 60.0  # seconds until a version that could not be loaded is tried again
_log = logging.getLogger("sightline.operations.serve")


class Holder:
    """The model that answers now.

    Attributes:
        model: to be read once per request, and kept until it is answered.
        problem: why a newer version does not answer, "" if nothing is wrong.
    """

    def __init__(self, model: ServedModel, changed: Callable[[ServedModel], None]) -> None:
        self.model, self.problem, self._changed = model, "", changed
        changed(model)

    def put(self, model: ServedModel) -> None:
        """Let another model answer from the next request on."""
        self.model, self.problem = model, ""
        self._changed(model)


class Follower:
    """A thread that looks for a new version every `seconds`.

    Args:
        holder: gets each new version.
        find: returns the version that the alias names, cheaply; None if there is none.
        load: returns what the alias names, loaded and warm.
        seconds: between two looks.
    """

    def __init__(
        self, holder: Holder, find: Callable[[], str | None], load: Callable[[], ServedModel], seconds: float
    ) -> None:
        self._holder, self._find, self._load, self._seconds = holder, find, load, seconds
        self._failed: tuple[str, float] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="champion", daemon=True)  # a load may take long
        self._thread.start()

    def _follow(self) -> None:
        while not self._ended.wait(self._seconds):
            self.look()

    def look(self) -> None:
        """Switch to a new version, or return why that fails; the present one then stays in use."""
        version = "the registry"
        try:
            version = self._find() or ""
            if not version:
                self._holder.problem = "the registry has no champion; the old version stays in use"
                return
            if version == self._holder.model.version:
                self._holder.problem, self._failed = "", None
                return
            if self._failed is not None and self._failed[0] == version and time.monotonic() < self._failed[1]:
                return
            model = self._load()
            self._holder.put(model)
            self._failed = None
            _log.warning("%s: now serving version %s", model.name, model.version)
        except Exception as error:  # whatever is wrong with the new one, the old one works
            self._failed = (version, time.monotonic() + _RETRY)
            told = f"version {version}" if version != "the registry" else version
            self._holder.problem = f"{told} cannot be read ({first_line(error)}); the old version stays in use"
            _log.error("%s: %s", self._holder.model.name, self._holder.problem)

    def close(self) -> None:
        """End the thread, without waiting for a load under way."""
        self._ended.set()
