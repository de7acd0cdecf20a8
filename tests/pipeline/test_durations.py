"""How long stages take: what is noted, what is expected of it, and a schedule that runs as it was foretold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sightline.pipeline.durations import (
    EXPECTED,
    USUAL,
    Share,
    expected_seconds,
    guesses,
    remaining,
    running_share,
    time_words,
    write_expected,
)
from sightline.pipeline.forecast import AROUND, Forecast
from sightline.pipeline.notes import DURATIONS, PROGRESS, note_duration, read_duration
from sightline.pipeline.reproduction import reproduce
from sightline.system.files import write_json

ROOT = Path(__file__).parents[2]
DIAMOND: dict[str, set[str]] = {"first": set(), "left": {"first"}, "right": {"first"}, "last": {"left", "right"}}


def stamp(root: Path, stage: str, value: int) -> None:
    name, _, key = stage.partition("@")
    write_json(root / ".sightline/code" / name / f"{key}.json", {"values": [value], "code": {}})


def test_the_best_guess_is_the_nearest_measurement(tmp_path: Path) -> None:
    stage = "train@flowers"
    assert guesses(tmp_path, [stage])[stage].source == "assumed"
    assert expected_seconds(tmp_path, [stage, "other"]) == {stage: USUAL["train"], "other": 10.0}
    for name, seconds in (("train@a", 10.0), ("train@b", 30.0), ("train@c", 31.0), ("evaluate@a", 500.0)):
        write_json(tmp_path / DURATIONS / f"{name}.json", {"seconds": seconds, "ended": 1.0, "settings": ""})
    assert expected_seconds(tmp_path, [stage]) == {stage: 30.0}
    write_expected(tmp_path, {stage: 70.0, "train@a": 99.0})
    write_expected(tmp_path, {"evaluate@flowers": 5})
    assert expected_seconds(tmp_path, [stage, "evaluate@flowers"]) == {stage: 70.0, "evaluate@flowers": 5.0}
    assert expected_seconds(tmp_path, ["train@a"]) == {"train@a": 10.0}  # the settings are those of the measurement

    stamp(tmp_path, stage, 1)
    note_duration(tmp_path, stage, 70.0)
    noted = read_duration(tmp_path, stage)
    assert noted is not None
    assert guesses(tmp_path, [stage])[stage].source == "measured"
    stamp(tmp_path, stage, 2)
    assert guesses(tmp_path, [stage])[stage].source == "measured with other settings"
    assert expected_seconds(tmp_path, [stage]) == {stage: noted["seconds"]}
    write_expected(tmp_path, {stage: 80.0})  # later than the run, so with the present settings
    assert expected_seconds(tmp_path, [stage]) == {stage: 80.0}


def test_more_epochs_take_longer(tmp_path: Path) -> None:
    write_json(tmp_path / DURATIONS / "train@a.json", {"seconds": 40.0, "settings": "", "most_epochs": 10})
    write_json(tmp_path / ".sightline/code/train/a.json", {"values": [{"trainer": {"max_epochs": 25}}, None, 7]})
    assert expected_seconds(tmp_path, ["train@a"]) == {"train@a": 100.0}


@pytest.mark.parametrize("broken", ["", "[1]", "{", '{"seconds": "long"}', '{"seconds": -1}', '{"seconds": true}'])
def test_damaged_notes_are_no_notes(tmp_path: Path, broken: str) -> None:
    for path in (DURATIONS / "train@a.json", EXPECTED, PROGRESS / "train@a.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(broken)
    assert expected_seconds(tmp_path, ["train@a"]) == {"train@a": USUAL["train"]}
    assert read_duration(tmp_path, "train@a") is None
    assert running_share(tmp_path, "train@a", 10.0) is None


STAGE = """
import time
from sightline.pipeline.process import run_stage

def stage(params, how):
    time.sleep(0.3)
    if how == "wrong":
        from sightline.system.errors import UserError
        raise UserError("wrong")

if __name__ == "__main__":
    run_stage(stage)
"""


def run(root: Path, how: str, **more: str) -> subprocess.CompletedProcess[str]:
    (root / "stage.py").write_text(STAGE)
    shutil.copy(ROOT / "params.yaml", root)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "DVC_STAGE": "train@digit-mlp", **more}
    return subprocess.run(
        [sys.executable, "stage.py", how], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_a_stage_notes_its_time_from_the_start_of_the_process_if_it_succeeds(tmp_path: Path) -> None:
    assert run(tmp_path, "wrong").returncode == 2
    assert not (tmp_path / DURATIONS).exists()
    assert run(tmp_path, "right", LOCAL_RANK="1").returncode == 0
    assert not (tmp_path / DURATIONS).exists(), "a second process of the same training"

    began = time.time()
    done = run(tmp_path, "right")
    wall = time.time() - began
    assert (done.returncode, done.stdout) == (0, "")  # of a constant nothing is said
    noted = json.loads((tmp_path / DURATIONS / "train@digit-mlp.json").read_text())
    assert noted["expected"] == USUAL["train"]
    assert 0.3 + 0.1 < noted["seconds"] <= wall + 0.02, "imports count, nothing else"  # the start is known to 1/100 s
    again = run(tmp_path, "right")
    assert again.stdout == f"about {time_words(noted['seconds'])} (measured)\n"
    assert run(tmp_path, "right", DVC_STAGE="").stdout == ""


def test_what_cannot_be_noted_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / ".sightline").write_text("a file, where there should be a folder")
    done = run(tmp_path, "right")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / ".sightline").unlink()
    (tmp_path / ".sightline").mkdir(mode=0o500)
    done = run(tmp_path, "right")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_resumed_training_does_not_count_as_a_whole_one(tmp_path: Path) -> None:
    path, stage = tmp_path / PROGRESS / "train@a.json", "train@a"
    whole = {"seconds": 50.0, "ended": 1.0, "settings": "", "epochs": 5, "resumed": False}
    write_json(tmp_path / DURATIONS / f"{stage}.json", whole)
    epochs = {"epochs_done": 5, "epochs": 8, "resumed_from": 3, "seconds": 2.0, "written": time.time()}
    for _ in range(2):  # twice in a row
        write_json(path, {**epochs, "process": os.getpid()})
        note_duration(tmp_path, stage, 50.0)
        noted = read_duration(tmp_path, stage)
        assert noted is not None
        assert noted["resumed"]
        assert not path.exists()
        assert expected_seconds(tmp_path, [stage]) == {stage: 50.0}
    write_json(path, {**epochs, "process": os.getpid() + 1})  # of a killed run; this one wrote none
    note_duration(tmp_path, stage, 50.0)
    assert "resumed" not in (read_duration(tmp_path, stage) or {})


def test_epochs_say_how_far_a_training_is(tmp_path: Path) -> None:
    path, stage = tmp_path / PROGRESS / "train@a.json", "train@a"

    def left(elapsed: float, **changes: float) -> float | None:
        epochs = {"epochs_done": 2, "epochs": 10, "resumed_from": 0, "seconds": 20.0, "written": time.time()}
        write_json(path, {**epochs, "process": 1, **changes})
        share = running_share(tmp_path, stage, elapsed)
        return None if share is None else share.elapsed * (1 - share.done) / share.done

    assert left(30.0) == pytest.approx(80.0, abs=0.5)  # eight epochs of ten seconds
    assert left(30.0, written=time.time() - 6) == pytest.approx(74.0, abs=0.5)
    assert left(30.0, resumed_from=1, seconds=10.0) == pytest.approx(80.0, abs=0.5)
    assert left(30.0, written=time.time() - 31) is None, "of an earlier run"
    assert left(30.0, epochs_done=0) is None
    write_json(tmp_path / DURATIONS / f"{stage}.json", {"seconds": 60.0, "epochs": 6, "most_epochs": 10})
    assert left(30.0) == pytest.approx(40.0, abs=0.5)  # it stopped early after six last time
    assert left(80.0, epochs_done=7, seconds=70.0) == pytest.approx(30.0, abs=0.5)
    assert left(30.0, epochs=11) == pytest.approx(90.0, abs=0.5), "other settings than those with which it stopped"


def test_the_schedule_is_that_of_reproduce() -> None:
    seconds = {"first": 1.0, "left": 4.0, "right": 2.0, "last": 3.0}
    assert remaining(DIAMOND, seconds, [], {}, 2) == 8.0
    assert remaining(DIAMOND, seconds, [], {}, 1) == 10.0
    assert remaining(DIAMOND, seconds, ["first"], {"left": 1.0, "right": 1.5}, 2) == 6.0
    assert remaining(DIAMOND, seconds, ["first", "right"], {"left": Share(0.25, 1.0)}, 2) == 6.0
    assert remaining(DIAMOND, seconds, ["first", "right"], {"left": 10.0}, 2) == 4.0  # overdue
    assert remaining(DIAMOND, seconds, DIAMOND, {}, 2) == 0.0
    chain: dict[str, set[str]] = {
        "a": set(),
        "z": set(),
        "y": {"z"},
        "x": {"y"},
    }  # the longer chain is first, whatever its name
    assert remaining(chain, {"a": 6.0, "z": 2.0, "y": 2.0, "x": 2.0}, [], {}, 1) == 12.0
    apart: dict[str, set[str]] = {"a": set(), "b": set(), "c": set()}
    assert remaining(apart, {"a": 5.0, "b": 3.0, "c": 2.0}, [], {}, 2) == 5.0


SLEEPER = """
import os, sys, time
from pathlib import Path
from sightline.pipeline.notes import note_duration
name, seconds, *needs = sys.argv[1:]
time.sleep(float(seconds))
Path(f"{name}.out").write_text(name + Path("settings.txt").read_text())
note_duration(Path(), os.environ["DVC_STAGE"], None)
"""


def test_a_second_run_is_foretold_from_the_first(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(SLEEPER)
    (tmp_path / "settings.txt").write_text("one")
    sleeps = {"first": 0.2, "left": 0.6, "right": 0.3, "last": 0.2}
    stages = {
        name: {
            "cmd": f"{sys.executable} stage.py {name} {sleeps[name]}",
            "deps": ["settings.txt", *(f"{need}.out" for need in sorted(needs))],
            "outs": [f"{name}.out"],
        }
        for name, needs in DIAMOND.items()
    }
    YAML().dump({"stages": stages}, tmp_path / "dvc.yaml")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)

    def follow() -> list[tuple[str, str, float]]:
        told: list[tuple[str, str, float]] = []

        def say(forecast: Forecast, stage: str) -> None:
            told.append((stage, forecast.words(), forecast.left()))

        results = reproduce(tmp_path, 2, lambda *_: None, Forecast(tmp_path, 2, say))
        assert {result.outcome for result in results} == {"ran"}
        return told

    told = follow()
    assert {stage for stage, _, _ in told} == {"", *DIAMOND}
    assert told[0][1].startswith("0 of 4 stages, about ")
    assert told[-1][1:] == ("4 of 4 stages, done", 0.0)
    noted = {stage: (read_duration(tmp_path, stage) or {})["seconds"] for stage in DIAMOND}
    assert all(noted[stage] >= sleeps[stage] for stage in DIAMOND)
    assert noted["left"] > noted["last"]

    (tmp_path / "settings.txt").write_text("two")
    told = follow()
    # What was noted, on the longest way; how far it is from the wall clock depends on what else the machine does.
    longest = noted["first"] + max(noted["left"], noted["right"]) + noted["last"]
    assert told[0][2] == pytest.approx(longest + 3 * AROUND, abs=0.1)
    assert told[0][2] > told[-3][2] > told[-1][2], "the time left falls"


def test_times_in_words() -> None:
    words = {0.2: "1 s", 80: "80 s", 130: "2 min", 3570: "1 h 0 min", 7500: "2 h 5 min"}
    assert {seconds: time_words(seconds) for seconds in words} == words
