"""What is true of the samples of a split, as a task compares its predictions with it."""

from __future__ import annotations

import pandas as pd

from sightline.data.store import SplitStore
from sightline.tasks.base import Task


def truth_of(store: SplitStore, task: Task) -> pd.DataFrame:
    """Return what a task's `measure` compares predictions with, a row per sample."""
    always = ("id", "source", "height", "width")
    return pd.DataFrame({name: store.column(name) for name in (*always, *task.targets, *task.truth_fields)})
