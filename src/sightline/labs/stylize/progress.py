"""A progress bar with what is minimised or grown, for terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

Follow: TypeAlias = Callable[[int, Mapping[str, float]], None]  # step from 1 on, its numbers


def follow_nothing(step: int, numbers: Mapping[str, float]) -> None:
    """Tell nobody."""


@contextmanager
def progress_bar(title: str, steps: int) -> Iterator[Follow]:
    """Show steps, numbers and the time that is left; nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=steps, numbers="")

        def follow(step: int, numbers: Mapping[str, float]) -> None:
            told = "  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
            bar.update(task, completed=step, numbers=told)

        yield follow
