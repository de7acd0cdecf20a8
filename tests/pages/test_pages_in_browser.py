"""Pages in a real browser: both colours, phone and desk, sorted, readable, named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_project import entry, make_project, outcome, write_ledger
from test_browser import CHROMIUM, OPTIONS

from sightline.operations.pages import make_pages

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is found: apt-get install chromium"),
]
# The contrast of every text with what lies behind it (WCAG 2.2, relative luminance), the least of them first.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  canvas.canvas.width = canvas.canvas.height = 1;
  const over = (behind, colour) => {
    canvas.fillStyle = `rgb(${behind})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const chain = [];
    for (let up = element; up; up = up.parentElement) chain.unshift(getComputedStyle(up).backgroundColor);
    const behind = chain.reduce(over, [255, 255, 255]);
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [one, other] = [light(over(behind, colour)), light(behind)].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 5);
}"""
UNNAMED = """() => [...document.querySelectorAll("a, button, img, nav, [role=img], [role=region], summary")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.getAttribute("aria-label") || element.alt || element.textContent.trim()))
  .map((element) => element.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, digits: Path, scenes: Path) -> Path:
    root = tmp_path_factory.mktemp("shown") / "project"
    tasks: dict[str, Any] = {
        "digit": ({"kind": "classification", "architecture": "mnist_cnn"}, digits, 28, 1),
        "scene": ({"kind": "semantic_segmentation", "depth": 1}, scenes, 32, 3),
    }
    params = make_project(root, tasks)
    refused = entry("digit", "refuse", "worse: gain -0.1", champion_md5="b" * 32 + ".dir", gain=-0.1, low=-0.2, high=0)
    write_ledger(root, entry("digit", "promote", "first version", model_md5="b" * 32 + ".dir"), refused)
    make_pages(params, root, [outcome(root, "digit")])
    return root / "reports"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [375, 1440])
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "digit/index.html", "scene/index.html"])
def test_a_page_fits_and_can_be_read(
    reports: Path, browser: Any, name: str, colours: str, width: int, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on(
        "request", lambda request: told.append(request.url) if not request.url.startswith(("file:", "data:")) else 0
    )
    page.goto((reports / name).as_uri())
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor === 'rgb(20, 22, 26)'") == (colours == "dark")
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    worst = page.evaluate(CONTRAST)
    assert worst[0][0] >= 4.5, worst
    assert page.evaluate(UNNAMED) == []
    assert told == []
    page.close()


def test_tables_sort_and_colours_are_remembered(reports: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page.goto((reports / "digit/index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    table = page.locator("#classes table")
    table.get_by_role("button", name="recall").click()
    heads = table.get_by_role("columnheader", name="recall")
    assert heads.get_attribute("aria-sort") == "ascending"
    place = 3
    rows = "rows => rows.map(row => Number(row.cells[3].textContent))"
    assert table.locator("thead th").nth(place).inner_text().strip() == "recall"
    rising = table.locator("tbody tr").evaluate_all(rows)
    assert rising == sorted(rising)
    assert len(set(rising)) > 1
    table.get_by_role("button", name="recall").press("Enter")
    assert table.locator("tbody tr").evaluate_all(rows) == sorted(rising, reverse=True)
    assert heads.get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="Dark colours").click()
    page.get_by_role("link", name="All models").click()
    page.get_by_role("heading", name="Models").wait_for()
    page.wait_for_function("getComputedStyle(document.body).backgroundColor == 'rgb(20, 22, 26)'")
    assert page.get_by_role("link", name="digit", exact=True).count() == 2  # in short, and in the table
    page.close()
