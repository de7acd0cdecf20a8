"""Texts against the true ones: which characters were read as which, and how many were wrong."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from sightline.tasks.metrics.resampling import Metric, mean_of, ratio_of

Pair = tuple[str, str]  # a true character and the one that was read; "" where there is none


def aligned(true: str, read: str) -> list[Pair]:
    """Return pairs of characters, in their order, of which as few as possible differ.

    How many differ is the edit distance (V. Levenshtein 1966): characters that were exchanged, missed or added. Of
    several such alignments it is the one that exchanges rather than adds and misses, from the end on.
    """
    costs = np.zeros((len(true) + 1, len(read) + 1), np.int64)
    costs[:, 0], costs[0, :] = np.arange(len(true) + 1), np.arange(len(read) + 1)
    for row, own in enumerate(true, 1):
        for column, other in enumerate(read, 1):
            exchanged = costs[row - 1, column - 1] + (own != other)
            costs[row, column] = min(exchanged, costs[row - 1, column] + 1, costs[row, column - 1] + 1)
    pairs: list[Pair] = []
    row, column = len(true), len(read)
    while row or column:
        both = row and column
        if both and costs[row, column] == costs[row - 1, column - 1] + (true[row - 1] != read[column - 1]):
            row, column = row - 1, column - 1
            pairs.append((true[row], read[column]))
        elif row and costs[row, column] == costs[row - 1, column] + 1:
            row -= 1
            pairs.append((true[row], ""))
        else:
            column -= 1
            pairs.append(("", read[column]))
    return pairs[::-1]


def edits(pairs: Iterable[Pair]) -> int:
    """Return how many characters of an alignment differ."""
    return sum(true != read for true, read in pairs)


def error_rate(edited: int, characters: int) -> float:
    """Return edits per true character; where there is none, 0 without any edit, and else 1."""
    return edited / characters if characters else float(edited > 0)


def metrics_of_rows(rows: pd.DataFrame) -> dict[str, Metric]:
    """Return character error rate (edits of all texts over their characters) and share of right texts, resampled.

    Args:
        rows: the columns edits, characters and exact.
    """
    return {
        "character_error_rate": ratio_of(rows["edits"], rows["characters"], 0.0),
        "exact_match": mean_of(rows["exact"].to_numpy(np.float64)),
    }
