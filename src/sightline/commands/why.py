"""Command `why`: what makes a stage run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def why(stage: Annotated[str, typer.Argument(help="as DVC names it, e.g. train@digit-cnn")]) -> None:
    """Show which piece of code, setting or file makes a stage run again."""
    from sightline.pipeline.staleness import stale_reasons

    reasons = stale_reasons(Path(), stage)
    print(f"{stage} will run again:" if reasons else f"{stage} is up to date")
    for reason in reasons:
        print(f"  {reason}")
