import base64
import io
import re
from pathlib import Path

import pytest
from entries import entry
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from sightline.commands.cli import app
from sightline.operations.retraining.decision import decide
from sightline.operations.retraining.story import Story, report_text
from sightline.registry.history import history_table, plot_history
from sightline.registry.ledger import Ledger
from sightline.registry.outcomes import Outcome
from sightline.system.errors import UserError

ENTRIES = [
    entry("digit", "promote", "a", None, "2026-01-01", 0.90, "first version"),
    entry("digit", "refuse", "b", "a", "2026-01-03", 0.84, "class 3 loses 0.12 recall: more than 0.05"),
    entry("digit", "promote", "c", "a", "2026-02-01", 0.95, "better: +0.05"),
    entry("digit", "rollback", "a", "c", "2026-02-02", 0.90, "rolled back by hand from cccccccc to aaaaaaaa"),
    entry("scene", "promote", "d", None, "2026-02-02", 0.7, "first version"),
]


def shown(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def test_the_table_tells_each_decision_in_a_line() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(history_table(ENTRIES))
    lines = console.export_text().splitlines()
    assert len(lines) == 6
    assert lines[2].startswith(
        "2026-01-03 00:00  digit  bbbbbbbb  accuracy 0.840  refused: class 3 loses 0.12 recall: more"
    )
    assert "rolled back to" in lines[4]


def test_the_picture_is_the_same_twice_and_grows_with_models(tmp_path: Path) -> None:
    for name, entries in (("one", ENTRIES), ("two", ENTRIES), ("digit", ENTRIES[:4])):
        plot_history(entries, tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert shown(tmp_path / "one.png").width > 1.5 * shown(tmp_path / "digit.png").width
    colours = {colour for _, colour in shown(tmp_path / "digit.png").getcolors(1 << 24) or []}
    assert {(37, 99, 235), (234, 88, 12)} <= colours  # promoted and refused


def test_the_report_shows_the_judged_with_small_pictures(tmp_path: Path) -> None:
    plot_history(ENTRIES, tmp_path / "reports/history.png")
    for name in ("digit", "scene"):
        folder = tmp_path / "reports" / name / "evaluation"
        folder.mkdir(parents=True)
        Image.effect_noise((1600, 900), 50).save(folder / "confusion.png")
    judged = Outcome(
        "digit", "classification", ENTRIES[1].headline, "b", "2", "challenger", "refuse", "class a|b loses", "a class",
        word="refused",
    )  # fmt: skip
    kept = Outcome(
        "scene", "detection", ENTRIES[4].headline, "d", "1", "champion", "kept", "first version", "first version",
        word="promoted",
    )  # fmt: skip
    story = Story(decide([], ["train@digit"], {}, {}, True), [judged, kept], ["digits/b1"], ["nothing to commit"])
    text = report_text(story, tmp_path)
    assert "| changed | differ from dvc.lock: train@digit |" in text
    assert "| refused: class a\\|b loses |" in text
    assert "- digits/b1" in text
    pictures = re.findall(r"!\[([^]]+)\]\(data:image/png;base64,([^)]+)\)", text)
    assert [title for title, _ in pictures] == ["champions over time", "digit: confusion"]
    for _, data in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(data))).width <= 560
    assert story.news() == "digit: refused: class a|b loses\nwithdrawn: digits/b1"


def test_the_command_shows_one_model_or_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*words: str) -> str:
        return CliRunner().invoke(app, ["history", *words], catch_exceptions=False).output

    params = """\
seed: 0
trainer: {}
evaluation: {}
gate: {}
datasets: {digits: {format: digits, root: data/embedded}}
models:
  digit: &model
    dataset: digits
    task: {kind: classification, architecture: mnist_cnn}
    weights: random
    input: {size: 28, channels: 1}
    augment: none
    optimizer: {name: adam, lr: 0.001}
  scene: *model
"""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(params)
    assert told().startswith("no decision on any model yet")
    ledger = Ledger(Path("registry/ledger.jsonl"))
    for one in ENTRIES:
        ledger.append(one)
    assert "scene" in told()
    of_one = told("digit")
    assert "class 3 loses 0.12 recall" in of_one
    assert "scene" not in of_one
    assert shown(Path("reports/history-digit.png")).size != shown(Path("reports/history.png")).size
    with pytest.raises(UserError, match="digits: no such entry"):
        told("digits")
