"""Pages that show a project's models: one for each, and an overview; they need no network and no server."""

from sightline.operations.pages.making import make_pages, short_verdicts

__all__ = ["make_pages", "short_verdicts"]
