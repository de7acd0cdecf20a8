"""Subjects of tuning that are small enough for a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.config.models import Model
from sightline.labs.tuning.subject import Subject, open_subject

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "task": {"kind": "classification", "architecture": "mlp"},
    "weights": "random",
    "augment": "none",
    "input": {"size": 8, "channels": 1},
    "optimizer": {"name": "adam", "lr": 1e-3},
    "trainer": {"batch_size": 32, "accelerator": "cpu"},
}


@pytest.fixture
def model_of() -> Callable[..., Model]:
    """Makes sections of models, given what differs from a small one."""
    return lambda **settings: Model.model_validate({**SETTINGS, **settings})


@pytest.fixture
def subject_of(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_of: Callable[..., Model]
) -> Callable[..., Subject]:
    """Makes subjects on the embedded digits; the raw cache is of this test alone."""
    monkeypatch.chdir(tmp_path)
    return lambda **settings: open_subject(model_of(**settings), 3, digits, tmp_path)
