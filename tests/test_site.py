"""The site: it builds without a warning, its links lead somewhere, and it loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from dvc_project import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_spec("material") and find_spec("mkdocstrings")), reason="needs the extra docs, which the lock has"
    ),
]
_ELSEWHERE = re.compile(r"^(?:https?:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name"):
                self.places.add(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("href", "src", "data", "poster", "action"):
                self.loaded.append(value or "")
            elif name == "srcset":
                self.loaded += [part.split()[0] for part in (value or "").split(",")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_page_below_docs_is_in_it(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert [path for path in written if not (site / path).is_file()] == []
    for name in ("index", "contributing/index", "reference/params", "security", "changelog"):
        assert (site / f"{name}.html").is_file()


def test_every_internal_link_leads_to_a_page_and_a_place(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are from the root of a server
            continue
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places | {"__top"}
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def styles(site: Path) -> Iterator[tuple[str, str]]:
    for path in site.rglob("*.css"):
        for target in re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", path.read_text(encoding="utf-8")):
            yield path.name, target


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert [(path.name, one) for path, page in pages.items() for one in page.loaded if _ELSEWHERE.match(one)] == []
    assert [(name, target) for name, target in styles(site) if _ELSEWHERE.match(target)] == []


def test_the_reference_has_the_public_names_and_every_key(pages: dict[Path, Page], site: Path) -> None:
    python = pages[site / "reference/python.html"].places
    for name in ("config.params.Params", "evaluation.predictor.load_predictor", "data.structures.Sample"):
        assert f"sightline.{name}" in python
    assert {f"sightline.tasks.base.Task.{name}" for name in ("loss", "predictions", "measure")} <= python
    assert {"model", "trainer", "adamw", "coco"} <= pages[site / "reference/params.html"].places
