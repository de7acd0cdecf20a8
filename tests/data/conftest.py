"""A tiny raw folder, and where it is prepared."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_folders import write_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "raw")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "prepared" / "tiny"
