"""What a program tells its user when the input is wrong."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """A mistake in the input, told in lines that each name place, value and remedy; ends a program with code 2."""

    def __init__(self, lines: Sequence[str] | str) -> None:
        self.lines = [lines] if isinstance(lines, str) else list(lines)
        super().__init__("\n".join(self.lines))


def first_line(error: Exception) -> str:
    """Return what an error says, without further lines."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
