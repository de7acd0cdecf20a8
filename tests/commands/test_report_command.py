"""`sightline report`: what it says where there is nothing to show, or nothing to show it with."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.commands.report import report

PARAMS = """\
datasets:
  d: {format: digits, root: data/embedded}
models:
  m: {dataset: d, task: classification}
"""


def test_without_an_evaluated_model_and_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    opener = tmp_path / "xdg-open"
    opener.write_text("#!/bin/sh\necho no browser here, seven times\nexit 3\n")
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    report(show=True)
    printed = capfd.readouterr()
    assert printed.out.splitlines() == [
        "reports/index.html: no model is evaluated yet; run `sightline repro`, which trains and evaluates them",
        f"no browser found; open {tmp_path}/reports/index.html in one",
    ]
    assert "seven times" not in printed.err
