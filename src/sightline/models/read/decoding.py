"""From scores of characters in columns to a text: best path, best text, and which columns said which character.

A path names a character or the blank in each column; its text is what remains when equal neighbours are joined and
blanks are taken out. A text's probability is the sum over its paths (A. Graves, S. Fernandez, F. Gomez and J.
Schmidhuber 2006, Connectionist Temporal Classification, sections 3.1 and 3.2). Output 0 is the blank, output k + 1 is
character k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sightline.models.read.column_network import BLANK

FLOAT64 = NDArray[np.float64]
INT64 = NDArray[np.int64]
_NEVER = -math.inf  # the logarithm of nothing
_STAY, _NEXT, _SKIP = 0, 1, 2  # states that a path goes back


def best_paths(logs: FLOAT64) -> list[list[int]]:
    """N x T x C logarithms -> the characters of the most probable path of each ("best path decoding", section 3.2)."""
    told = []
    for path in logs.argmax(2):
        kept = path[np.flatnonzero(np.diff(path, prepend=-1))]  # equal neighbours are one
        told.append((kept[kept != BLANK] - 1).tolist())
    return told


def best_text(logs: FLOAT64, width: int) -> list[int]:
    """T x C logarithms of one image -> the characters of the most probable text that a beam of `width` texts finds.

    Beginnings of texts are extended column by column; of each there is the probability of paths that end in a blank and
    of those that do not, as a character doubles only behind a blank (Graves et al. 2006, section 3.2, "prefix search";
    A. Hannun, A. Maas, D. Jurafsky and A. Ng 2014, First-Pass Large Vocabulary Continuous Speech Recognition using
    Bi-Directional Recurrent DNNs, algorithm 1, without a language model). With as many texts as there are, it is exact.
    """
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}  # ending in a blank, and not
    for column in logs:
        likely = _likely(column, width)
        scores: list[float] = column.tolist()
        found: dict[tuple[int, ...], tuple[float, float]] = {}
        for text, (blank, other) in kept.items():
            either = _plus(blank, other)
            _add(found, text, either + scores[BLANK], _NEVER)
            if text:
                _add(found, text, _NEVER, other + scores[text[-1] + 1])
            for output in likely:
                before = blank if text and text[-1] == output - 1 else either
                if before > _NEVER:
                    _add(found, (*text, output - 1), _NEVER, before + scores[output])
        order = sorted(found.items(), key=lambda pair: (-_plus(*pair[1]), pair[0]))
        kept = dict(order[:width])
    return list(next(iter(kept)))


def _likely(column: FLOAT64, width: int) -> list[int]:
    """Return the outputs of one column, without the blank, by which texts are extended: no more than are kept."""
    characters = np.arange(1, len(column))
    if len(characters) > width:
        characters = characters[np.argsort(-column[1:], kind="stable")[:width]]
    told: list[int] = characters.tolist()
    return told


def _add(found: dict[tuple[int, ...], tuple[float, float]], text: tuple[int, ...], blank: float, other: float) -> None:
    known = found.get(text, (_NEVER, _NEVER))
    found[text] = (_plus(known[0], blank), _plus(known[1], other))


def _plus(first: float, second: float) -> float:
    """Return the logarithm of a sum from the logarithms of its parts."""
    high, low = (first, second) if first >= second else (second, first)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))


def columns_of_characters(logs: FLOAT64, texts: Sequence[Sequence[int]]) -> list[INT64]:
    """Return for each text, L x 2, the first and the last column of each character on its most probable path.

    States are blank, character, blank, character, ..., blank, as in section 4.1; a path stays, goes on by one, or skips
    the blank between two different characters. Each text must fit into its columns.

    Args:
        logs: N x T x C logarithms.
        texts: N lists of characters.
    """
    count, columns = logs.shape[:2]
    states = 2 * max(map(len, texts), default=0) + 1
    outputs = np.full((count, states), BLANK)
    for row, text in zip(outputs, texts, strict=True):
        row[1 : 2 * len(text) : 2] = np.asarray(text, np.int64) + 1
    skips = np.zeros((count, states), bool)
    skips[:, 2:] = (outputs[:, 2:] != BLANK) & (outputs[:, 2:] != outputs[:, :-2])
    here = np.take_along_axis(logs, outputs[:, None, :].repeat(columns, 1), 2)  # N x T x S
    best = np.full((count, states), _NEVER)
    best[:, :2] = here[:, 0, :2]
    moves = np.zeros((count, columns, states), np.int64)
    for column in range(1, columns):
        shifted = [np.pad(best, ((0, 0), (by, 0)), constant_values=_NEVER)[:, :states] for by in (_STAY, _NEXT, _SKIP)]
        shifted[_SKIP] = np.where(skips, shifted[_SKIP], _NEVER)
        choices = np.stack(shifted, 2)
        moves[:, column] = choices.argmax(2)
        best = choices.max(2) + here[:, column]
    return [_followed(ends, own, len(text)) for ends, own, text in zip(best, moves, texts, strict=True)]


def _followed(best: FLOAT64, moves: INT64, length: int) -> INT64:
    """Return the first and the last column of each of `length` characters, along the best path from its end."""
    state = 2 * length if not length or best[2 * length] >= best[2 * length - 1] else 2 * length - 1
    spans = np.full((length, 2), -1, np.int64)
    for column in range(len(moves) - 1, -1, -1):
        if state % 2:
            own = spans[state // 2]
            own[:] = column, column if own[1] < 0 else own[1]
        state -= int(moves[column, state])
    return spans


def columns_needed(text: Sequence[int] | str) -> int:
    """Return how many columns a text needs: one per character, and one between equal neighbours."""
    return len(text) + sum(one == other for one, other in pairwise(text))
