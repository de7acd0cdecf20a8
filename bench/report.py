"""What a benchmark found: rows of ratios, written as `bench/results/NAME.json` and shown as a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.catalogue import BENCHMARKS, Case
from bench.machine import machine, versions
from bench.pairs import ratios, spread
from sightline.pipeline.process import set_up_process
from sightline.system.files import write_json

RESULTS = Path(__file__).parent / "results"
PAIRS, QUICK_PAIRS = 7, 1
_DIGITS = 4  # significant, of what is written


def parser(doc: str | None, pairs: int = PAIRS) -> argparse.ArgumentParser:
    """Return the options that all benchmarks share."""
    own = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("--pairs", type=int, default=None, help=f"rounds that count; default {pairs}")
    own.add_argument("--quick", action="store_true", help="tiny, to see whether it works; writes only with --out")
    own.add_argument("--note", default="", help="what should be known of this run, such as other work on the machine")
    own.add_argument("--out", type=Path, help="JSON file to write; default bench/results/NAME.json")
    own.set_defaults(usual_pairs=pairs)
    return own


def parsed(own: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a run, and set this process up as those of the product are."""
    options = own.parse_args(argv)
    if options.pairs is None:
        options.pairs = QUICK_PAIRS if options.quick else options.usual_pairs
    if options.pairs < 1:
        own.error("--pairs: at least 1")
    set_up_process()
    return options


class Report:
    """The rows of one run of a benchmark.

    Args:
        name: a key of `BENCHMARKS`.
        options: as `parsed` returns them.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options, self.rows = name, options, list[dict[str, Any]]()

    def case(self, name: str, reference: str = "") -> Case:
        """Return a case of the catalogue by its name and the beginning of its reference's."""
        found = [one for one in BENCHMARKS[self.name].cases if one.name == name and one.reference.startswith(reference)]
        if len(found) != 1:
            raise ValueError(f"{self.name}: {name!r}, {reference!r}: {len(found)} cases in the catalogue")
        return found[0]

    def add(self, case: Case, ours: Sequence[float], reference: Sequence[float], **facts: Any) -> None:
        """Add a row from the seconds of each round.

        Args:
            case: what was compared.
            ours: seconds.
            reference: seconds, in the same rounds.
            facts: what else was measured, as plain values by name.
        """
        pair = (ours, reference) if case.cost else (reference, ours)
        seconds = {"ours": _rounded(spread(ours).median), "reference": _rounded(spread(reference).median)}
        self.add_ratios(case, ratios(*pair), seconds=seconds, **facts)

    def add_ratios(self, case: Case, values: Sequence[float], **facts: Any) -> None:
        """Add a row from the ratio of each round."""
        found = spread(values)
        told = {"median": found.median, "low": found.low, "high": found.high}
        self._append(case, pairs=len(values), facts=facts, **{name: _rounded(value) for name, value in told.items()})

    def lacks(self, case: Case, reason: str) -> None:
        """Add a row of what could not be measured."""
        self._append(case, missing=reason)

    def _append(self, case: Case, **values: Any) -> None:
        own = {"case": case.name, "reference": case.reference, "target": case.target, "cost": case.cost}
        self.rows.append(own | values)
        Console(highlight=False, soft_wrap=True).print(line(self.rows[-1]))

    def finish(self) -> dict[str, Any]:
        """Write the file, and return what is in it; a quick run writes only where it is told to."""
        values = {
            "benchmark": self.name,
            "date": datetime.now(UTC).date().isoformat(),
            "quick": self.options.quick,
            "note": self.options.note,
            "machine": machine(),
            "versions": versions(BENCHMARKS[self.name].libraries),
            "rows": self.rows,
        }
        path = self.options.out or (None if self.options.quick else RESULTS / f"{self.name}.json")
        if path is not None:
            write_json(path, values)
        return values


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def line(row: dict[str, Any]) -> str:
    """Return a row in words."""
    told = f"{row['case']}, {row['reference']}: "
    if "missing" in row:
        return f"{told}{row['missing']}"
    facts = ", ".join(f"{name} {value}" for name, value in row["facts"].items())
    return told + f"{ratio(row)}, {row['pairs']} pairs{'; ' if facts else ''}{facts}"


def ratio(row: dict[str, Any]) -> str:
    """Return median and quartiles in words."""
    return f"{row['median']:.3g} ({row['low']:.3g} to {row['high']:.3g})"


def verdict(row: dict[str, Any]) -> str:
    """Say whether a row reaches its target: yes, no, or nothing where there is none or nothing was measured."""
    if "missing" in row:
        return ""
    met = Case(row["case"], row["reference"], row["target"], row["cost"]).met(row["median"])
    return "" if met is None else "yes" if met else "no"


def summary(results: Sequence[dict[str, Any]]) -> Table:
    """Return a table of the rows of several benchmarks."""
    table = Table("benchmark", "case", "reference", "target", "ratio (quartiles)", "pairs", "met")
    for values in results:
        for row in values["rows"]:
            aim = Case(row["case"], row["reference"], row["target"], row["cost"]).aim
            found = [row["missing"], "-"] if "missing" in row else [ratio(row), str(row["pairs"])]
            table.add_row(values["benchmark"], row["case"], row["reference"], aim, *found, verdict(row))
    return table
