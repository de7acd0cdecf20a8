"""How many batches of a model are worth predicting at the same time, each with its share of the threads.

A network that runs with all threads makes them wait for the slowest at the end of each layer, and while one batch is
decoded or written, cores have nothing to do. Two batches side by side, with half of the threads each, fill the gaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.system.processors import usable_processors
from sightline.training.artifact.folder import read_card
from sightline.training.heads.artifact import holds_head

if TYPE_CHECKING:
    from sightline.evaluation.predictor import Engine

_MOST = 2


def worthwhile_lanes(folder: Path, engine: Engine = "auto", device: str = "cpu") -> int:
    """Return how many batches of a model are worth working on at the same time.

    It is one for torch, two of whose batches take the cache from each other; and for tiled images, which are so large
    that only one of them is in memory.

    Args:
        folder: the model directory.
        engine: as for `load_predictor`.
        device: the same.

    Raises:
        UserError: no model there, or damaged.
    """
    if engine == "torch" or device != "cpu" or holds_head(folder):
        return 1
    card = read_card(folder)
    return min(_MOST, usable_processors()) if card.onnx_sha256 and card.tiling is None else 1


def threads_each(lanes: int) -> int | None:
    """Return the threads of ONNX Runtime in each lane, as `load_predictor` takes them."""
    return None if lanes == 1 else max(1, usable_processors() // lanes)
