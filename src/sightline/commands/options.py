"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ParamsFile = Annotated[Path, typer.Argument(help="the params file")]
ModelName = Annotated[str, typer.Argument(help="a model of params.yaml")]
