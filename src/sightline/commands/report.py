"""`sightline report`: the pages of evaluated models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    names: Annotated[list[str] | None, typer.Argument(help="models and heads; default: all that are evaluated")] = None,
    force: Annotated[bool, typer.Option("--force", help="also write pages whose sources have not changed")] = False,
    show: Annotated[bool, typer.Option("--open", help="open the page in a browser")] = False,
    comment: Annotated[
        Path | None, typer.Option(help="also write this file: all models as Markdown, to comment on a pull request")
    ] = None,
    link: Annotated[str, typer.Option(help="URL of reports/, to link from the comment")] = "",
) -> None:
    """Write reports/NAME/index.html for evaluated models, and the overview reports/index.html."""
    from sightline.config import load_params
    from sightline.operations.pages import make_pages, short_verdicts
    from sightline.registry.outcomes import last_outcomes

    root = Path()
    params = load_params(root / "params.yaml")
    made = make_pages(params, root, last_outcomes(root), names or (), force=force)
    page = Path("reports", names[0], "index.html") if names and len(names) == 1 else Path("reports/index.html")
    print(f"{page}: {f'wrote {len(made)} pages: ' + ', '.join(made) if made else 'all pages are up to date'}")
    for verdict in short_verdicts(params, root):
        print("\n".join(verdict.lines()))
    if comment is not None:
        from sightline.operations.pages.comment import comment_text
        from sightline.system.files import new_file

        with new_file(comment) as new:
            new.write_text(comment_text(params, root, link), encoding="utf-8")
        print(f"{comment}: written")
    if show:
        typer.launch(str(page.resolve()))
