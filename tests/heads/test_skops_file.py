"""The file of a classifier: the same bytes, and nothing but trusted types."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sightline.system.errors import UserError
from sightline.training.heads.skops_file import dump, load

SCRIPT = """
import hashlib
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sightline.training.heads.dropout import FeatureDropout
from sightline.training.heads.skops_file import dump
x, y = load_digits(return_X_y=True)
for own in (LinearSVC(), SVC(), FeatureDropout(LinearSVC(), 0.5, 2, 0)):
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", own)])
    fitted = CalibratedClassifierCV(pipeline, cv=2, ensemble=False).fit(x[:300], y[:300])
    print(hashlib.sha256(dump(fitted)).hexdigest())
"""


def test_two_processes_write_the_same_bytes() -> None:
    answers = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert answers[0] == answers[1]
    assert len(set(answers[0].split())) == 3


def test_foreign_types_are_not_opened() -> None:
    foreign = Pipeline([("step", FunctionTransformer(os.getcwd))])
    content = skops.io.dumps(foreign)
    with pytest.raises(UserError, match=r"head.skops: not loaded for safety"):
        load(content, "head.skops")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 40])
def test_damaged_files_are_told(content: bytes) -> None:
    with pytest.raises(UserError, match=r"head.skops: not a skops file"):
        load(content, "head.skops")


def test_no_file_of_a_head_is_a_pickle(tmp_path: Path) -> None:
    import zipfile

    from sklearn.neighbors import KNeighborsClassifier

    own = KNeighborsClassifier(algorithm="brute").fit(np.eye(8, dtype=np.float32), np.arange(8))
    (tmp_path / "head.skops").write_bytes(dump(own))
    with zipfile.ZipFile(tmp_path / "head.skops") as archive:
        assert {Path(name).suffix for name in archive.namelist()} <= {".npy", ".json", ".npz"}
        for name in archive.namelist():
            if name.endswith(".npy"):
                np.load(archive.open(name), allow_pickle=False)
