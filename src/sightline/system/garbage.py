"""When Python looks for objects that hold each other alive."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python's garbage collector rest while many objects are made that are all kept; also as a decorator.

    It goes through all of them again each time their number has grown by a quarter, and finds nothing. What is no
    longer referred to is freed all the same.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
