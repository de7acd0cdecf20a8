"""Prepared data sets that many tests read."""

from pathlib import Path

import pytest

from sightline.config.datasets import Digits
from sightline.data.preparation import prepare
from sightline.stage import be_quiet

be_quiet()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded digits, prepared once."""
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    prepare("digits", Digits(format="digits", root="data/embedded"), folder)
    return folder
