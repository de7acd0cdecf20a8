"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 image, 2 images.

    Args:
        count: of them.
        noun: of one.
        plural: of several; default: the noun with an s.
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def first_few(names: Sequence[str], most: int) -> str:
    """Return at most so many names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
