"""Small pictures of the samples, made while these are checked, so that nothing is decoded again for the mean images."""

from __future__ import annotations

from heapq import heappush, heappushpop

from sightline.data.images import Picture, fit, read
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8

SIDE = 64  # pixels, both sides
_KEPT = 4096  # pictures of 12 KiB


def read_for_small(encoded: bytes | memoryview) -> Picture:
    """Return an image as it is decoded for its small picture.

    Raises:
        ValueError: the bytes are not a supported image; the message says what they are.
    """
    return read(encoded, 3, SIDE)


def small_of(picture: Picture) -> UINT8:
    """Return SIDE x SIDE x 3, to which the image is stretched."""
    return fit(picture.pixels, SIDE, "stretch")


class SmallPictures:
    """The small pictures of the samples with the least ids, whose number is bounded; others are decoded again.

    Ids are hashes, and the first of a class and split by their ids are shown, so these are nearly always among them.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._pictures: dict[int, UINT8] = {}
        self._largest_first: list[int] = []  # a heap of negative ids

    def keep(self, name: str, picture: UINT8) -> None:
        """Keep the picture of a sample, or leave out that of the greatest id."""
        number = int(name, 16)
        if number in self._pictures:
            return
        self._pictures[number] = picture
        if len(self._largest_first) < self._most:
            heappush(self._largest_first, -number)
        else:
            del self._pictures[-heappushpop(self._largest_first, -number)]

    def of(self, store: SplitStore, index: int) -> UINT8:
        """Return the picture of a sample of a split."""
        kept = self._pictures.get(int(store.ids[index], 16))
        return small_of(read_for_small(store.image(index))) if kept is None else kept
