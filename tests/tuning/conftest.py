"""Subjects of tuning that are small enough for a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.config.models import Model
from sightline.tuning.subject import Subject, open_subject

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp"},
    "weights": "random",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 1e-3},
    "trainer": {"batch_size": 32, "accelerator": "cpu"},
}


@pytest.fixture
def subject_of(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Subject]:
    """Makes subjects on the embedded digits; the raw cache is of this test alone."""
    monkeypatch.chdir(tmp_path)
    return lambda **settings: open_subject(Model.model_validate({**SETTINGS, **settings}), 3, digits, tmp_path)
