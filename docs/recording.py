"""Records commands in a terminal as an animated picture: `python docs/recording.py OUT.gif 'sightline models'`.

Pauses are shortened, and lines appear as they were printed; nothing is made up.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 104, 30
_SIZE, _LINE = 15, 20  # pixels of a letter and of a line
_LONGEST, _SHORTEST = 1.6, 0.4  # seconds between two frames; lines that follow sooner share one
_COLOURS = 4
_LAST = 6.0  # seconds of the last frame
_INK, _PAPER, _PROMPT = 222, 28, 160  # grey
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")


class Line(NamedTuple):
    """A line and the seconds from the beginning at which it was complete."""

    seconds: float
    text: str


def record(command: str, began: float) -> Iterator[Line]:
    """Run a command in a terminal of its own and yield its lines; of one that was overwritten, what it ended as."""
    yield Line(time.monotonic() - began, f"$ {command}")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "dumb"}
    with subprocess.Popen(
        command, shell=True, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        left = ""
        while True:
            try:
                read = os.read(ours, 4096).decode("utf-8", "replace")
            except OSError:  # the terminal is closed
                break
            if not read:
                break
            *lines, left = (left + read).split("\n")
            for line in lines:
                yield Line(time.monotonic() - began, _CONTROL.sub("", line.rstrip("\r")).rpartition("\r")[2])
    os.close(ours)
    if process.returncode:
        raise SystemExit(f"{command}: ended with {process.returncode}")


def draw(lines: Sequence[str]) -> Image.Image:
    """Return the last lines as a picture."""
    font = ImageFont.truetype(str(Path(get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"), _SIZE)
    width = int(font.getlength("m" * COLUMNS)) + 2 * _LINE
    image = Image.new("L", (width, (ROWS + 2) * _LINE), _PAPER)
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines[-ROWS:]):
        pen.text((_LINE, _LINE * (row + 1)), line[:COLUMNS], _PROMPT if line.startswith("$ ") else _INK, font)
    return image


def animate(lines: Sequence[Line], path: Path) -> None:
    """Write an animated picture of lines that appear one after the other."""
    frames, pauses = [], []
    for place, line in enumerate(lines):
        following = lines[place + 1].seconds - line.seconds if place + 1 < len(lines) else _LAST
        if following < _SHORTEST:
            continue
        frames.append(draw([one.text for one in lines[: place + 1]]).quantize(_COLOURS))
        pauses.append(round(1000 * (following if following == _LAST else min(_LONGEST, following))))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=pauses, loop=0, optimize=True)


def main() -> None:
    """Record the commands and write the picture."""
    path, *commands = sys.argv[1:]
    began = time.monotonic()
    animate([line for command in commands for line in record(command, began)], Path(path))


if __name__ == "__main__":
    main()
