"""`sightline promote` and `sightline rollback`: the champion chosen by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.commands.options import ModelName


def promote(
    name: ModelName,
    reason: Annotated[str, typer.Option(help="why, for the ledger")] = "",
) -> None:
    """Make the released model the champion by hand, whatever the gate said of it."""
    from sightline.config import load_params
    from sightline.registry.registration import promote as promote_released

    promote_released(name, load_params(Path("params.yaml")), Path(), print, reason)


def rollback(name: ModelName) -> None:
    """Make the previous champion the champion again."""
    from sightline.config import load_params
    from sightline.registry.registration import rollback as roll_back

    roll_back(name, load_params(Path("params.yaml")), Path(), print)
