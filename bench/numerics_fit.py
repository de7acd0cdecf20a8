"""Fits the rule's bounds to the table of times: `python -m bench.numerics_fit`; it times nothing.

Only the order of a quantity and a bound matters, so between two neighbouring rows of the table all bounds are the same
rule. Each bound is moved through all these gaps while the others stay, and gets the whole range where least is lost. A
tenth of the speed counts as nothing: steps of a few milliseconds differ by as much from run to run, and finer bounds
would follow single rows. For the same reason the row that two runs judged otherwise (`UNSURE`) is left out; with it,
`convolutions` would be 0.86 to 0.91. The rule has a round number in each range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import pairwise

from bench.numerics import TARGET, Row, committed_rows, told
from sightline.training.speed_rule import BOUNDS, Bounds

QUANTITIES: dict[str, Callable[[Row], float]] = {  # what is compared with each bound
    "large_matrix": lambda row: row.work.linear * row.batch / row.work.calls,
    "dense_enough": lambda row: row.work.products / row.work.values,
    "convolutions": lambda row: (row.work.dense + row.work.depthwise) / row.work.products,
    "values_per_weight": lambda row: row.work.values * row.batch / row.work.weights,
}
UNSURE = {("all", "lenet5", 28, 32)}  # instructions, network, size, batch: 0.98 of the best in one run, 0.76 in another
_UNTIMED = 0.1  # a choice that was too slow to be timed counts as ten times slower


def fitted_rows() -> list[Row]:
    """Return the rows of the table that the bounds are fitted to."""
    return [row for row in committed_rows() if (row.instructions, row.network, row.size, row.batch) not in UNSURE]


def score(rows: Sequence[Row], bounds: Bounds) -> float:
    """Return the sum of the logarithms of the rule's speeds over the target, where they miss it; 0 is perfect."""
    return sum(math.log(min(1.0, (row.share(bounds) or _UNTIMED) / TARGET)) for row in rows)


def best_range(rows: Sequence[Row], name: str, bounds: Bounds = BOUNDS) -> tuple[float, float]:
    """Return between which values a bound serves best, the others as they are.

    Where distant gaps are equally good, it is the one that holds the bound, or else the first.
    """
    marks = [0.0, *sorted({QUANTITIES[name](row) for row in rows} - {0.0}), math.inf]
    scores = [
        score(rows, replace(bounds, **{name: 2 * low if high == math.inf else (low + high) / 2}))
        for low, high in pairwise(marks)
    ]
    good = [value > max(scores) - 1e-9 for value in scores]
    runs: list[list[int]] = []
    for number in (number for number, is_good in enumerate(good) if is_good):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    ranges = [(marks[run[0]], marks[run[-1] + 1]) for run in runs]
    return next((one for one in ranges if one[0] < asdict(bounds)[name] <= one[1]), ranges[0])


def main() -> None:
    rows = committed_rows()
    for name, bound in asdict(BOUNDS).items():
        low, high = best_range(fitted_rows(), name)
        print(f"{name}: best between {low:.4g} and {high:.4g}; the rule has {bound:.4g}")
    mean = math.exp(sum(math.log(row.of_best) for row in rows) / len(rows))
    print(f"speed over the best, geometric mean of {len(rows)} rows: {mean:.4f}; below {TARGET}:")
    print("\n".join(told(row) for row in rows if row.of_best < TARGET))


if __name__ == "__main__":
    main()
