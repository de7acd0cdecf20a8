"""Templates of pages: values in, HTML out; what is written into it is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Return a template of `templates/` filled with values."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("sightline.operations.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates = files("sightline.operations.pages") / "templates"
    # The package's own style sheet and script, and nothing else, go into a page as they are.
    for name, file in (("style", "style.css"), ("script", "page.js")):
        environment.globals[name] = Markup((templates / file).read_text(encoding="utf-8"))
    environment.filters["drawn"] = Markup  # of charts, whose texts matplotlib has escaped
    return environment
