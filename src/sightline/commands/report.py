"""`sightline report`: the pages of evaluated models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PATIENCE = 5.0  # seconds until an opener counts as one that stays while the page is open


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
    from sightline.system.words import count_of

    root = Path()
    params = load_params(root / "params.yaml")
    made = make_pages(params, root, last_outcomes(root), names or (), force=force)
    page = Path("reports", names[0], "index.html") if names and len(names) == 1 else Path("reports/index.html")
    verdicts = short_verdicts(params, root)
    if made:
        print(f"{page}: wrote {count_of(len(made), 'page')}: {', '.join(made)}")
    elif verdicts:
        print(f"{page}: all pages are up to date")
    else:
        print(f"{page}: no model is evaluated yet; run `sightline repro`, which trains and evaluates them")
    for verdict in verdicts:
        print("\n".join(verdict.lines()))
    if comment is not None:
        from sightline.operations.pages.comment import comment_text
        from sightline.system.files import new_file

        with new_file(comment) as new:
            new.write_text(comment_text(params, root, link), encoding="utf-8")
        print(f"{comment}: written")
    if show:
        _show(page.resolve())


def _show(page: Path) -> None:
    """Open a page; where there is no browser, what the system's opener says of that is replaced by one line."""
    import subprocess
    import sys

    opener, quiet = "open" if sys.platform == "darwin" else "xdg-open", subprocess.DEVNULL
    try:
        opened = subprocess.Popen([opener, str(page)], stdin=quiet, stdout=quiet, stderr=quiet).wait(_PATIENCE) == 0
    except FileNotFoundError:
        opened = False
    except subprocess.TimeoutExpired:
        opened = True
    if not opened:
        print(f"no browser found; open {page} in one")
