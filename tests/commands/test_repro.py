"""What `sightline repro` says before, while and after stages run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from sightline.commands.repro import progress_bar, show_plan, summary_table
from sightline.pipeline.durations import write_expected
from sightline.pipeline.forecast import AROUND, Forecast
from sightline.pipeline.notes import DURATIONS
from sightline.pipeline.reproduction import Result
from sightline.system.files import write_json

NEEDS: dict[str, set[str]] = {
    "prepare@flowers": set(),
    "train@a": {"prepare@flowers"},
    "train@b": {"prepare@flowers"},
    "evaluate@a": {"train@a"},
    "register": {"evaluate@a", "train@b"},
}


def text(shown: object) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(shown)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_a_run_from_its_plan_to_its_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    now = [0.0]
    forecast = Forecast(tmp_path, 2, lambda own, stage: told.append(f"{stage}: {own.words()}"), lambda: now[0])
    around = 3.0
    write_expected(tmp_path, {"train@a": 600 - AROUND, "train@b": 300 - AROUND, "evaluate@a": 60 - AROUND})
    forecast.plan(NEEDS, set(NEEDS) - {"prepare@flowers"})
    console = Console(file=io.StringIO(), width=100)
    show_plan(forecast, console)
    plan = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split("│")[1:4] for line in plan.splitlines() if "│" in line] == [
        [" a   ", " train, evaluate ", " 11 min "],
        [" b   ", " train           ", " 5 min  "],
        [" all ", " register        ", " 12 s   "],
    ]
    said = capsys.readouterr().out
    assert "4 stages, 2 at a time: about 11 min in all" in said
    assert "nothing like register has run here" in said

    forecast.begin("train@a")
    forecast.begin("train@b")
    now[0] = 240.0
    assert "0 of 4 stages, about 7 min left train@a, train@b" in text(progress_bar(forecast))
    write_json(tmp_path / DURATIONS / "train@b.json", {"seconds": 280.0 - around, "ended": 1.0, "settings": ""})
    now[0] = 280.0
    forecast.end(Result("train@b", "ran", 280.0))
    assert told[-1] == "train@b: 1 of 4 stages, about 7 min left"
    assert forecast.expected("register") == 10.0 + around
    forecast.end(Result("train@a", "failed", 300.0))
    assert forecast.words() == "2 of 4 stages, ends after a failure"
    skipped = [Result(stage, "skipped", 0.0) for stage in ("evaluate@a", "register")]
    summary = text(summary_table([*forecast.results.values(), *skipped], forecast))
    assert "train@b │ ran │ 300 │ 280" in summary
    assert "evaluate@a │ skipped │ 60 │ │" in summary
