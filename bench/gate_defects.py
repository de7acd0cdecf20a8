"""Made-up evaluations of two detectors of defects, for `bench.gate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from sightline.tasks.metrics.anomaly import LEVELS, levels_of

_PIXELS, _OF_A_DEFECT, _MOST = 60, 20, 3  # of an image, of each defect; defects in an image


def inspectors(random: Generator, gain: float, count: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Half of the images have one to three defects; scores of images and pixels share the image's own error."""
    anomalous = np.arange(count) % 2 == 1
    defects = np.where(anomalous, random.integers(1, _MOST + 1, count), 0)
    common = random.normal(0, 0.5, (count, 1))

    def model(quality: float) -> pd.DataFrame:
        own = common + random.normal(0, 0.5, (count, 1))
        score = np.exp(own[:, 0] + (1 + quality) * (anomalous - 0.5))
        good = np.exp(random.normal(own - 0.5, 0.5, (count, _PIXELS)))
        bright = own[..., None] + quality + random.normal(0.3, 0.5, (count, _MOST, 1))
        inside = np.exp(random.normal(bright, 0.5, (count, _MOST, _OF_A_DEFECT)))
        there = np.arange(_MOST) < defects[:, None]
        shares = _counted(inside.reshape(-1, _OF_A_DEFECT)).reshape(count, _MOST, LEVELS) / _OF_A_DEFECT
        found = (shares * there[..., None]).sum(1)
        columns = {
            "class_id": anomalous.astype(int),
            "anomalous": anomalous,
            "anomaly_score": score,
            "flagged": score > 1,
            "pixels_good": list(_counted(good)),
            "pixels_defective": list(found * _OF_A_DEFECT),
            "defects": list(found),
        }
        return pd.DataFrame({"id": [f"{place:06d}" for place in range(count)], **columns})

    return model(0.0), model(gain)


def _counted(values: NDArray[Any]) -> NDArray[np.int64]:
    """N x P scores -> N x 512 numbers of them at each level."""
    levels = levels_of(values.astype(np.float32)) + LEVELS * np.arange(len(values))[:, None]
    return np.bincount(levels.ravel(), minlength=LEVELS * len(values)).reshape(-1, LEVELS)
