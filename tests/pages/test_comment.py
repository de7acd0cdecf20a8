"""The comment on a pull request: what the ledger says of each model, and nothing of it taken for Markdown."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from page_project import MODEL_MD5, OLD_MD5, entry, make_project, write_ledger

from sightline.commands.cli import main
from sightline.config import Params
from sightline.operations.pages.comment import comment_text

CNN = {"kind": "classification", "architecture": "mnist_cnn"}


@pytest.fixture
def project(tmp_path: Path, digits: Path) -> tuple[Path, Params]:
    root = tmp_path / "project"
    return root, make_project(root, {"net": (CNN, digits, 28, 1)})


def row_of(text: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith("| `net`"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_refused_challenger_is_told_with_its_paired_interval(project: tuple[Path, Params]) -> None:
    root, params = project
    write_ledger(
        root,
        entry("net", "promote", "first version", code="first", model_md5=OLD_MD5),
        entry(
            "net", "refuse", "noise", code="within_noise", champion_md5=OLD_MD5,
            gain=0.01, low=-0.005, high=0.025, compared=270,
        ),
    )  # fmt: skip
    name, task, score, difference, decision = row_of(comment_text(params, root))
    assert (name, task) == ("`net`", "classification")
    assert re.fullmatch(r"accuracy 0\.\d{3} \\\[0\.\d{3}, 0\.\d{3}\\\]", score)
    assert difference == r"+0.010 \[-0.005, +0.025\] on 270"
    assert decision.startswith("challenger; refused: within noise")


def test_the_first_version_is_compared_with_nothing(project: tuple[Path, Params]) -> None:
    root, params = project
    assert row_of(comment_text(params, root))[3:] == ["-", "not judged"]
    write_ledger(root, entry("net", "promote", "first version", code="first", model_md5=MODEL_MD5))
    assert row_of(comment_text(params, root))[3:] == ["-", "champion; promoted: first version"]
    (root / "release/net.json").unlink()
    assert row_of(comment_text(params, root))[2:] == ["-", "-", "not made"]


def test_the_worst_images_are_named_and_names_are_no_markdown(project: tuple[Path, Params]) -> None:
    root, params = project
    path = root / "reports/net/evaluation/predictions.parquet"
    rows = pd.read_parquet(path)
    rows["source"] = "a`b|<img src=x>\n# c.png"
    rows["told"] = "@all [x](http://example.org) | <b> *y*"
    rows.to_parquet(path)
    text = comment_text(params, root, "https://ci.example/7")
    images = [line for line in text.splitlines() if line.startswith("    - ")]
    assert images == [
        "    - `a'b|<img src=x> # c.png`: &#64;all \\[x\\](http://example.org) \\| &lt;b> \\*y\\*, "
        + line.rsplit(", ", 1)[1]
        for line in images
    ]
    assert len(images) == 3
    assert "`reports/net/evaluation/worst.png`" in text
    assert text.endswith("[Reports of all models](https://ci.example/7)\n")


def test_the_command_writes_it_beside_the_pages(
    project: tuple[Path, Params], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project[0])
    monkeypatch.setattr(sys, "argv", ["sightline", "report", "--comment", "out/comment.md"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert "out/comment.md: written" in capsys.readouterr().out
    assert Path("out/comment.md").read_text() == comment_text(project[1], Path())
    assert Path("reports/net/index.html").is_file()
