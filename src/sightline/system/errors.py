"""Error messages for wrong input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class UserError(Exception):
    """An error in the input, in lines with location, value and remedy each; ends a program with code 2."""

    def __init__(self, lines: Sequence[str] | str) -> None:
        self.lines = [lines] if isinstance(lines, str) else list(lines)
        super().__init__("\n".join(self.lines))


def first_line(error: Exception) -> str:
    """Return what an error says, without further lines."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def nearest(word: str, known: Iterable[str], otherwise: str = "", most: int = 1) -> str:
    """Return ` (did you mean X?)` for the known words most like a word, or `otherwise`.

    Args:
        word: as it was written.
        known: what could have been meant.
        otherwise: used if nothing is similar.
        most: words to name.
    """
    return meant(get_close_matches(str(word), list(known), n=most)) or otherwise


def meant(words: Sequence[str]) -> str:
    """Return ` (did you mean X or Y?)`, or nothing without words."""
    return f" (did you mean {' or '.join(words)}?)" if words else ""
