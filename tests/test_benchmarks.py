"""Benchmarks: turns and ratios, the page and its files, and every module once at its smallest size."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import page
from bench.catalogue import BENCHMARKS, Case
from bench.machine import machine
from bench.pairs import ratios, spread, take_turns
from bench.report import Report, parsed, parser, verdict
from sightline.system.errors import UserError

# trainings, processes
SLOW = ("startup", "serving", "features", "loader", "finetuning", "training_loop", "coco_import", "demo")

ELSEWHERE = ("keras_mnist",)  # needs MNIST and an environment with TensorFlow


def test_runs_take_turns_and_every_second_round_goes_backwards() -> None:
    done: list[str] = []

    def run(name: str) -> float:
        done.append(name)
        return float(len(done))

    taken = take_turns({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=3, warm_up=1)
    assert "".join(done) == "baabbaab"
    assert taken == {"a": [3.0, 6.0, 7.0], "b": [4.0, 5.0, 8.0]}


def test_median_and_quartiles_of_the_ratios_in_a_round() -> None:
    found = spread(ratios([2.0, 8.0, 3.0, 4.0, 10.0], [1.0, 2.0, 1.0, 4.0, 2.0]))  # 2, 4, 3, 1, 5
    assert (found.low, found.median, found.high) == (2, 3, 4)
    assert spread([7.0]).high == 7


@pytest.mark.parametrize(("cost", "ratio", "met"), [(False, 3.0, "yes"), (False, 2.9, "no"), (True, 3.1, "no")])
def test_a_target_is_a_bound_from_below_or_of_a_cost_from_above(cost: bool, ratio: float, met: str) -> None:
    row = {"case": "", "reference": "", "target": 3.0, "cost": cost, "median": ratio}
    assert verdict(row) == met
    assert verdict({**row, "target": None}) == ""


def test_a_report_is_a_file_that_the_page_tells(tmp_path: Path) -> None:
    out = tmp_path / "loader.json"
    report = Report("loader", parsed(parser(""), ["--pairs", "2", "--note", "two at once", "--out", str(out)]))
    report.add(report.case("0 loader processes"), [1.0, 2.0], [4.0, 10.0], files=5)
    report.finish()
    rows = [line.strip("| ").split(" | ") for line in page.region(page.read_results(tmp_path)).splitlines()]
    [measured] = [row for row in rows if row[1:2] == ["0 loader processes"]]
    assert measured[2:7] == ["torchvision's `ImageFolder`", "≥ 3", "4.5 (4.25 to 4.75)", "yes", "2"]
    missing = [row for row in rows if len(row) == 8 and row[4] == "not measured"]
    assert len(missing) == sum(max(1, len(one.cases)) for one in BENCHMARKS.values()) - 1
    assert "files 5" in page.region(page.read_results(tmp_path))
    assert "two at once" in page.region(page.read_results(tmp_path))


def test_a_cost_is_our_time_over_the_reference(tmp_path: Path) -> None:
    report = Report("startup", parsed(parser(""), ["--quick", "--out", str(tmp_path / "startup.json")]))
    report.add(report.case("a training process to its first step"), [3.0], [2.0])
    assert report.finish()["rows"][0]["median"] == 1.5
    with pytest.raises(UserError, match="quick run"):
        page.read_results(tmp_path)
    with pytest.raises(ValueError, match="0 cases"):
        report.case("something else")


def test_the_page_is_up_to_date() -> None:
    """After a benchmark or a change of the catalogue: python -m bench.page."""
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_region(text, page.region(page.read_results())) == text
    with pytest.raises(UserError, match="once each"):
        page.with_region(text.replace(page.END, ""), "")


def test_no_host_and_no_path_is_written() -> None:
    assert set(machine()) == {"processor", "cores", "flags", "memory_gib", "system"}
    for name in page.read_results():
        assert "/tmp" not in (page.RESULTS / f"{name}.json").read_text(encoding="utf-8")


def _smallest(name: str, out: Path) -> dict[str, Any]:
    importlib.import_module(f"bench.{name}").main(["--quick", "--out", str(out)])
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in SLOW)) for one in BENCHMARKS])
def test_a_module_at_its_smallest_size(name: str, tmp_path: Path) -> None:
    found = _smallest(name, tmp_path / "found.json")
    assert found["quick"]
    known = {(case.name, case.reference) for case in BENCHMARKS[name].cases}
    for row in found["rows"]:
        case = Case(row["case"], row["reference"], row["target"], row["cost"])
        assert not known or (case.name, case.reference) in known
        assert "missing" in row or row["median"] > 0
    assert any("median" in row for row in found["rows"]) or name in ELSEWHERE


def test_help_tells_every_benchmark() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in BENCHMARKS)
