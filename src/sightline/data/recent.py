"""Decoded images of which the latest used ones are kept, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from sightline.data.structures import UINT8


class Recent:
    """Arrays by number, made when they are asked for.

    Args:
        make: returns the array of a number.
        most: bytes to keep; the latest array is kept even if it is larger.
    """

    def __init__(self, make: Callable[[int], UINT8], most: int) -> None:
        self._make, self._most = make, most
        self._kept: OrderedDict[int, UINT8] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, number: int) -> UINT8:
        """Return an array, which must not be written to."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        made = self._make(number)
        self._kept[number] = made
        self._bytes += made.nbytes
        while self._bytes > self._most and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Loader processes begin with none."""
        return self.__dict__ | {"_kept": OrderedDict(), "_bytes": 0}
