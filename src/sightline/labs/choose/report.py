"""The report of a search: values as JSON, and a page."""

from __future__ import annotations

from pathlib import Path

from sightline.labs.choose.outcome import Outcome
from sightline.labs.choose.page import choose_page
from sightline.system.files import new_file, write_json


def write_report(folder: Path, outcome: Outcome) -> Path:
    """Write `NAME.json` and `NAME.html` into a folder; return the page."""
    write_json(folder / f"{outcome.model}.json", outcome.to_json())
    page = folder / f"{outcome.model}.html"
    with new_file(page) as work:
        work.write_text(choose_page(outcome), encoding="utf-8")
    return page
