"""The raw cache: a split decoded once to uint8 pixels of a network's input size, memory-mapped and disposable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sightline.data.cached_array import WriteRow, new_array, open_array
from sightline.data.images import Interpolation, Placement, Resize, Size, decode, fit, place, sides
from sightline.data.store import SplitStore
from sightline.data.structures import IGNORED, UINT8
from sightline.system.in_order import in_order
from sightline.system.processors import usable_processors

CACHE = Path(".sightline/cache")
_WORTH_A_THREAD = 5_000  # bytes; measured, PNG and JPEG alike

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Advance(Protocol):
    """Counts on a progress bar."""

    def __call__(self, done: int = 1) -> None:
        """Count what is done."""


def raw_pixels(
    store: SplitStore,
    size: Size,
    channels: int,
    resize: Resize,
    folder: Path = CACHE,
    interpolation: Interpolation = None,
) -> UINT8:
    """Return N x height x width x channels uint8, mapped from a file that is made on first use.

    The file's name holds the hash of the samples and the input, so it is never stale; it may be deleted at any time.

    Raises:
        DiskError: there is no space for it.
    """

    def decode_all(write: WriteRow) -> None:
        def one(index: int) -> None:
            write(index, fit(decode(store.image(index), channels), size, resize, interpolation))

        indices, encoded = range(len(store)), len(store.image(0)) if len(store) else 0
        with counted(len(store), "decoding") as advance:
            # Never all at once: each that waits for a thread takes memory.
            for _ in in_order(one, indices) if encoded >= _WORTH_A_THREAD else map(one, indices):
                advance()

    by = f"-{interpolation}" if interpolation not in (None, "area") else ""
    named = size if isinstance(size, int) else f"{size[0]}x{size[1]}"
    path = folder / f"{store.digest[:24]}-{named}-{channels}-{resize}{by}.npy"
    return _kept(path, (len(store), *sides(size), channels), decode_all)


def raw_maps(store: SplitStore, size: int, resize: Resize, folder: Path = CACHE) -> UINT8:
    """Return N x size x size uint8 class maps, 255 where there is none, mapped from a file as `raw_pixels`."""

    def decode_all(write: WriteRow) -> None:
        shapes = zip(store.column("height"), store.column("width"), strict=True)
        for index, (encoded, shape) in enumerate(zip(store.column("semantic"), shapes, strict=True)):
            if encoded is None:
                write(index, np.full((size, size), IGNORED, np.uint8))
            else:
                original = decode(encoded, 1)[..., 0]
                write(index, place(*shape, size, resize).map_into_input(original, IGNORED))

    path = folder / f"{store.digest[:24]}-{size}-semantic-{resize}.npy"
    return _kept(path, (len(store), size, size), decode_all)


def _kept(path: Path, shape: tuple[int, ...], make: Callable[[WriteRow], None]) -> UINT8:
    """Return the array of a file, made before where there is none; another process may remove it in between."""
    while (array := open_array(path)) is None:
        with new_array(path, shape) as write:
            make(write)
    return array


def side_by_side(
    work: Callable[[_Item], _Result], items: Iterable[_Item], size: int, pool: ThreadPoolExecutor
) -> Iterator[_Result]:
    """Yield work(item) of each item in order, from the pool's threads where that pays.

    Args:
        work: decodes an encoded image.
        items: to work on.
        size: of an encoded image, bytes: with small ones, threads do little but wait for Python's lock.
        pool: of threads.
    """
    return pool.map(work, items) if size >= _WORTH_A_THREAD else map(work, items)


@contextmanager
def counted(total: int, what: str) -> Iterator[Advance]:
    """Show a progress bar while the block runs, if somebody watches; yields the function that counts what is done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda done=1: progress.advance(bar, done)


def decoded(
    images: Sequence[bytes | memoryview],
    size: Size,
    channels: int,
    resize: Resize,
    interpolation: Interpolation = None,
) -> tuple[UINT8, list[Placement]]:
    """Return N x height x width x channels uint8 from encoded images, decoded in parallel, and the placement of each.

    Raises:
        ValueError: an image is not readable.
    """

    def one(encoded: bytes | memoryview) -> tuple[UINT8, Placement]:
        image = decode(encoded, channels)
        return fit(image, size, resize, interpolation), place(image.shape[0], image.shape[1], size, resize)

    with ThreadPoolExecutor(usable_processors()) as pool:
        pairs = list(side_by_side(one, images, len(images[0]) if images else 0, pool))
    return np.stack([pixels for pixels, _ in pairs]), [placement for _, placement in pairs]
