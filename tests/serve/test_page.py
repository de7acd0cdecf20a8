"""The page in a real browser, light and dark, wide and narrow."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from served import DIGITS, Start, encoded, photograph, write_random_model
from torch import nn

from sightline.operations.serve import load_served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
LOOKS = [("light", 1440), ("dark", 1440), ("light", 375), ("dark", 375)]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is found: apt-get install chromium"),
]
# Pixels of the canvas whose colour is near one that is asked for.
NEAR = """colour => {
  const canvas = document.querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let place = 0; place < data.length; place += 4)
    if (colour.every((value, axis) => Math.abs(value - data[place + axis]) < 12)) count++;
  return count;
}"""

MEAN = """() => {
  const canvas = document.querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const sums = [0, 0, 0];
  data.forEach((value, place) => { if (place % 4 < 3) sums[place % 4] += value; });
  return sums.map((sum) => sum / (canvas.width * canvas.height));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """Errors of the page, and addresses beyond this machine that it asked for."""
    return []


def visit(browser: Any, address: str, complaints: list[str], scheme: str = "light", width: int = 1440) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on(
        "request", lambda request: request.url.startswith((address, "data:", "blob:")) or complaints.append(request.url)
    )
    page.goto(address)
    page.locator("#model strong").wait_for()
    return page


def drop(page: Any, image: bytes, name: str) -> None:
    """Drop a file on the page, as a hand does."""
    page.evaluate(
        """([text, name]) => {
          const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
          const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          document.getElementById("drop").dispatchEvent(event);
        }""",
        [base64.b64encode(image).decode(), name],
    )


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_a_dropped_image_is_classified(
    classifier: Path, start: Start, browser: Any, complaints: list[str], tmp_path: Path, scheme: str, width: int
) -> None:
    server, image = start(load_served(classifier, "digit", "3")), encoded(photograph(), ".png")
    page = visit(browser, server.address, complaints, scheme, width)
    page.screenshot(path=tmp_path / "empty.png", full_page=True)
    drop(page, image, "photo's.png")
    page.locator("#result h2").wait_for()
    [answer] = server.send(image).json()["predictions"]
    assert page.locator("#result h2").inner_text() == answer["label"]
    assert page.locator("#result .row").count() == 8
    assert "version 3" in page.locator("#model").inner_text()
    page.get_by_label("Heat map").check()
    page.locator("#busy").wait_for(state="hidden")
    page.get_by_label("Opacity").wait_for()
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 26)"
    assert dark == (scheme == "dark")
    assert "image=@photo'\\''s.png" in page.locator("#code").inner_text()
    page.get_by_role("tab", name="Python").click()
    assert 'open("photo\'s.png", "rb")' in page.locator("#code").inner_text()
    assert complaints == []


def test_it_is_used_with_the_keyboard(classifier: Path, start: Start, browser: Any, complaints: list[str]) -> None:
    page = visit(browser, start(classifier).address, complaints)
    page.on("filechooser", lambda _: None)  # early: the browser is told of it without waiting for its answer
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    image = encoded(photograph(), ".png")
    chooser.value.set_files([{"name": "a.png", "mimeType": "image/png", "buffer": image}])
    page.locator("#result h2").wait_for()
    assert "a.png with the model's answer" in page.locator("canvas").get_attribute("aria-label")
    page.get_by_label("Heat map").focus()
    page.keyboard.press("Space")
    page.locator("#busy").wait_for(state="hidden")
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-python"
    assert complaints == []


def test_a_bad_file_is_told_and_the_next_one_works(
    classifier: Path, start: Start, browser: Any, complaints: list[str]
) -> None:
    page = visit(browser, start(classifier).address, complaints)
    drop(page, b"no image", "notes.png")
    page.get_by_role("alert").filter(has_text="notes.png: not an image").wait_for()
    drop(page, encoded(photograph(), ".tif"), "scan.tif")  # browsers do not show it, the model reads it
    page.get_by_text("40 pixels; your browser cannot show this format").wait_for()
    assert page.get_by_role("alert").count() == 0


def test_a_map_has_the_colours_of_its_legend(
    segmenter: Path, start: Start, browser: Any, complaints: list[str], tmp_path: Path
) -> None:
    server = start(segmenter)
    page = visit(browser, server.address, complaints)
    image = encoded(photograph(), ".png")
    drop(page, image, "scene.png")
    page.locator("#result h2").wait_for()
    page.get_by_label("Opacity").fill("100")
    [answer] = server.send(image).json()["predictions"]
    drawn = page.evaluate("document.querySelector('canvas').width * document.querySelector('canvas').height") / 2400
    for entry in server.client.get("/model").json()["semantic"]:
        shown = page.evaluate(NEAR, entry["colour"])
        assert shown == pytest.approx(answer["pixels"][entry["name"]] * drawn, rel=0.05, abs=200)
    page.screenshot(path=tmp_path / "map.png", full_page=True)
    assert complaints == []


@pytest.mark.parametrize(
    "kind",
    [
        *("instance_segmentation", "keypoints", "multilabel", "regression", "autoencoder"),
        *("text_recognition", "style_network"),
    ],
)
def test_every_kind_of_answer_is_shown(
    kind: str, start: Start, browser: Any, complaints: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    body = {"backbone": "timm:resnet10t"}
    points = {"keypoints": ("left eye", "right eye", "nose"), "mirrored": (1, 0, 2)}
    tasks: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
        "instance_segmentation": ({**body, "width": 32, "head_convs": 1}, 96, {}),
        "keypoints": (body, 64, points),
        "multilabel": ({"architecture": "mnist_cnn"}, 28, {}),
        "regression": ({"architecture": "mnist_cnn"}, 28, {"values": ("x", "y")}),
        "autoencoder": ({"architecture": "conv_autoencoder"}, 32, {}),
        "text_recognition": ({"width": 8}, 32, {"characters": tuple("abc")}),
        "style_network": ({"paintings": "paintings", "styles": ["sea.png", "night.png"], "width": 4}, 64, {}),
    }
    task, size, names = tasks[kind]
    folder = write_random_model(tmp_path / kind, {"kind": kind, **task}, size, 3, DIGITS, **names)
    page = visit(browser, start(folder).address, complaints)
    drop(page, encoded(photograph(120, 160), ".png"), "a.png")
    page.locator("#result h2").wait_for()
    if page.locator("#least").is_visible():
        page.locator("#least").fill("0")
    page.wait_for_timeout(300)
    page.screenshot(path=tmp_path / f"{kind}.png", full_page=True)
    assert complaints == []


def test_sliders_mix_styles(start: Start, browser: Any, complaints: list[str], tmp_path: Path) -> None:
    def differ(network: nn.Module) -> None:
        with torch.no_grad():
            norm = network.get_parameter("grow_again.norm.shift")
            norm.copy_(torch.eye(4)[:2])
            network.get_parameter("grow_again.norm.scale").zero_()
            leave = network.get_parameter("leave.weight").zero_()
            leave[0, 0, 4, 4] = leave[2, 1, 4, 4] = 4  # the first style is red, the second blue

    task = {"kind": "style_network", "paintings": "p", "styles": ["sea.png", "night.png"], "width": 4, "blocks": 1}
    page = visit(browser, start(write_random_model(tmp_path / "m", task, 32, 3, change=differ)).address, complaints)
    names = page.locator("input.style").evaluate_all("sliders => sliders.map(({ dataset }) => dataset.style)")
    assert names == ["sea", "night"]
    drop(page, encoded(photograph(), ".png"), "a.png")
    seen = []
    for moved, value, told in ((None, "", "sea"), ("night", "100", "sea-50+night-50"), ("sea", "0", "night")):
        if moved:
            page.locator(f"input[data-style={moved}]").fill(value)
        page.locator("#result h2").filter(has_text=re.compile(f"^{re.escape(told)}$")).wait_for()
        page.locator("#busy").wait_for(state="hidden")
        seen.append(page.evaluate(MEAN))
    assert seen[0][0] > seen[1][0] > seen[2][0], "less red the more night there is"
    assert seen[0][2] < seen[1][2] < seen[2][2]
    assert complaints == []


def test_a_page_that_needs_a_token_asks_for_it(classifier: Path, start: Start, browser: Any, tmp_path: Path) -> None:
    token = "correct-horse-battery"
    server, image = start(load_served(classifier, "digit", "3"), token=token), encoded(photograph(), ".png")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(30_000)
    page.goto(server.address)
    page.get_by_label("Token").fill("wrong-horse-battery")
    page.screenshot(path=tmp_path / "asked.png", full_page=True)
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("This token is not the server's.").wait_for()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Continue").click()
    page.locator("#model strong").wait_for()
    assert not page.locator("#login").is_visible()
    assert not page.locator("#error").is_visible()
    drop(page, image, "photo.png")
    page.locator("#result h2").wait_for()
    page.screenshot(path=tmp_path / "let-in.png", full_page=True)
    assert "Authorization: Bearer TOKEN" in page.locator("#code").inner_text()
    assert token not in page.content()
    page.reload()  # the tab remembers it
    page.locator("#model strong").wait_for()
    assert not page.locator("#login").is_visible()
