"""Writes the table of `docs/performance.md` from `bench/results/*.json`: `python -m bench.page`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.catalogue import BENCHMARKS, Case
from bench.report import RESULTS, ratio, verdict
from sightline.system.errors import UserError
from sightline.system.files import new_file, read_json

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- begin: python -m bench.page -->", "<!-- end -->"
_HEAD = ("benchmark", "case", "reference", "target", "ratio (quartiles)", "met", "pairs", "date")
_NOT_YET = {"missing": "not measured"}


def read_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the results of the benchmarks that have some.

    Raises:
        UserError: a file is of a quick run, whose figures mean nothing.
    """
    found = {name: read_json(path) for name in BENCHMARKS if (path := folder / f"{name}.json").is_file()}
    for name, values in found.items():
        if values["quick"]:
            raise UserError(f"{folder / name}.json: is of a quick run; run python -m bench.{name}")
    return found


def region(results: Mapping[str, dict[str, Any]]) -> str:
    """Return the table, and below it the machines, libraries and notes of the runs."""
    rows = [_HEAD, ("---",) * len(_HEAD)]
    for name in BENCHMARKS:
        rows += _rows(name, results.get(name))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    told = [f"- {_words(values)}" for name in BENCHMARKS if (values := results.get(name)) is not None]
    return "\n".join([*lines, "", *told, ""] if told else [*lines, ""])


def _rows(name: str, values: dict[str, Any] | None) -> list[tuple[str, ...]]:
    benchmark, measured = BENCHMARKS[name], [] if values is None else values["rows"]
    known = {(row["case"], row["reference"]) for row in measured}
    rows: list[dict[str, Any]] = [*measured]
    rows += [
        {"case": case.name, "reference": case.reference, "target": case.target, "cost": case.cost} | _NOT_YET
        for case in benchmark.cases
        if (case.name, case.reference) not in known
    ]
    if not rows:
        rows = [{"case": "-", "reference": "-", "target": None, "cost": False} | _NOT_YET]
    told: list[tuple[str, ...]] = []
    for row in rows:
        missing = "missing" in row
        aim = Case(row["case"], row["reference"], row["target"], row["cost"]).aim
        pairs, date = ("-", "-") if missing or values is None else (str(row["pairs"]), values["date"])
        found = row["missing"] if missing else ratio(row)
        title = f"{benchmark.title} (`{name}`)"
        told.append((title, row["case"], row["reference"], aim, found, verdict(row) or "-", pairs, date))
    return told


def _words(values: dict[str, Any]) -> str:
    """Return on what a benchmark ran, and what else it measured."""
    own = values["machine"]
    memory, flags = f"{own['memory_gib']} GiB", ", ".join(own["flags"])
    libraries = ", ".join(f"{name} {number}" for name, number in values["versions"].items())
    parts = [f"{own['processor']}, {own['cores']} cores, {memory}" + (f", {flags}" if flags else ""), libraries]
    parts += [values["note"]] if values["note"] else []
    facts = [f"{row['case']}: {told}" for row in values["rows"] if (told := _facts(row.get("facts", {})))]
    return f"`{values['benchmark']}`: {'; '.join(parts)}." + (f" {'; '.join(facts)}." if facts else "")


def _facts(facts: Mapping[str, Any]) -> str:
    own = dict(facts)
    seconds = own.pop("seconds", None)
    told = [] if seconds is None else [f"{seconds['ours']:g} s, reference {seconds['reference']:g} s"]
    return ", ".join([*told, *(f"{name.replace('_', ' ')} {value}" for name, value in own.items())])


def with_region(text: str, inner: str) -> str:
    """Return the page with what is between the marks replaced.

    Raises:
        UserError: the marks are not there, once each and in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail or END in tail or END in head:
        raise UserError(f"{PAGE.name}: needs the lines {BEGIN} and {END} once each, in this order")
    return f"{head}{BEGIN}\n\n{inner}\n{END}{tail}"


def write() -> None:
    """Bring the page up to date."""
    text = with_region(PAGE.read_text(encoding="utf-8"), region(read_results()))
    with new_file(PAGE) as work:
        work.write_text(text, encoding="utf-8")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    write()


if __name__ == "__main__":
    main()
