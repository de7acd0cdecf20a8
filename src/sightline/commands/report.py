"""`sightline report`: the pages of evaluated models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    names: Annotated[
        list[str] | None, typer.Argument(help="models and heads; all that are evaluated if left out")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="write also pages whose sources have not changed")] = False,
    show: Annotated[bool, typer.Option("--open", help="open the page in a browser")] = False,
) -> None:
    """Write reports/NAME/index.html for evaluated models, and the overview reports/index.html."""
    from sightline.config import load_params
    from sightline.operations.pages import make_pages
    from sightline.registry.outcomes import last_outcomes

    root = Path()
    made = make_pages(load_params(root / "params.yaml"), root, last_outcomes(root), names or (), anew=anew)
    page = Path("reports", names[0], "index.html") if names and len(names) == 1 else Path("reports/index.html")
    print(f"{page}: {f'wrote {len(made)} pages: ' + ', '.join(made) if made else 'nothing has changed'}")
    if show:
        typer.launch(str(page.resolve()))
