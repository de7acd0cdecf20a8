"""Areas under ROC and PRO curves against scikit-learn and a loop over every threshold, for every draw."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from sightline.tasks.metrics.anomaly import Seen, levels_of, measurement, metrics_of_rows
from sightline.tasks.metrics.resampling import resampled_counts

CLASSES = ("good", "scratch", "hole")
COUNT, SIDE = 24, 40
ONCE = np.ones((1, COUNT), np.float32)


def images(seed: int = 0, masked: bool = True) -> list[Seen]:
    """Return images whose defects are warm, and some good places as well; scores have ties."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(COUNT):
        label = number % 3
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(label * 2):
            top, left = random.integers(0, SIDE - 8, 2)
            mask[top : top + random.integers(2, 8), left : left + random.integers(2, 8)] = label
        mask[0, :5] = 255
        heat = ndimage.gaussian_filter(random.gamma(2, 0.5, (SIDE, SIDE)) + 0.6 * (mask % 255 > 0), 1)
        score = round(float(heat.max()), 1)
        found.append(Seen(label, score, heat.astype(np.float32), mask if masked else None, 0))
    return found


def measured(seen: list[Seen]) -> tuple[dict[str, Any], pd.DataFrame, dict[str, pd.DataFrame]]:
    known = pd.DataFrame(
        {"id": [f"{n:02}" for n in range(len(seen))], "source": [f"{n}.png" for n in range(len(seen))]}
    )
    headline, values, rows, tables = measurement(iter(seen), known, CLASSES, 0)
    assert headline == "auroc"
    return values, rows, tables


def test_image_auroc_is_that_of_scikit_learn_for_every_draw() -> None:
    _, rows, _ = measured(images())
    assert rows["anomaly_score"].nunique() < len(rows), "ties are tried"
    counts = np.concatenate(list(resampled_counts(COUNT, 12)))
    found = metrics_of_rows(rows, CLASSES)
    for value, own, drawn in zip(
        found["auroc"](counts), found["auroc_of_hole"](counts), counts.astype(int), strict=True
    ):
        again = rows.iloc[np.repeat(np.arange(COUNT), drawn)]
        assert value == pytest.approx(roc_auc_score(again["anomalous"], again["anomaly_score"]))
        part = again[again["class_id"] != 1]
        assert own == pytest.approx(roc_auc_score(part["anomalous"], part["anomaly_score"]))


def flat(seen: list[Seen], drawn: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return score and truth of every pixel that counts, as often as its image is drawn."""
    chosen = [own for own, times in zip(seen, drawn, strict=True) for _ in range(times)]
    heat, mask = (
        np.concatenate([part.ravel() for part in parts])
        for parts in zip(*[(s.heat, s.mask) for s in chosen], strict=True)
    )
    return heat[mask != 255], (mask > 0)[mask != 255]


def reached(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of scores that are at least each threshold."""
    return 1 - np.searchsorted(np.sort(scores), thresholds) / len(scores)


def slow_pro(seen: list[Seen], drawn: NDArray[np.int64], levels: bool) -> float:
    """Return PRO with every score as threshold, by a loop over defects."""
    chosen = [own for own, times in zip(seen, drawn, strict=True) for _ in range(times)]
    heats = [levels_of(own.heat).astype(float) if levels else own.heat.astype(float) for own in chosen]
    good = np.concatenate([heat[own.mask == 0] for heat, own in zip(heats, chosen, strict=True)])
    defects = []
    for heat, own in zip(heats, chosen, strict=True):
        numbered, count = ndimage.label((own.mask != 255) & (own.mask > 0), np.ones((3, 3)))
        defects += [heat[numbered == number] for number in range(1, count + 1)]
    thresholds = np.unique(np.concatenate([good, *defects]))[::-1]
    rate = [0.0, *reached(good, thresholds)]
    overlap = [0.0, *np.mean([reached(own, thresholds) for own in defects], axis=0)]
    until = np.searchsorted(rate, 0.3)
    edge = np.interp(0.3, rate, overlap)
    return float(np.trapezoid([*overlap[:until], edge], [*rate[:until], 0.3]) / 0.3)


@pytest.mark.parametrize("seed", [0, 1])
def test_pixel_auroc_and_pro_are_those_of_slow_oracles(seed: int) -> None:
    seen = images(seed)
    values, rows, _ = measured(seen)
    found = metrics_of_rows(rows, CLASSES)
    counts = np.concatenate([ONCE, *resampled_counts(COUNT, 3)])
    for pixel, pro, drawn in zip(found["pixel_auroc"](counts), found["pro"](counts), counts.astype(int), strict=True):
        heat, truth = flat(seen, drawn)
        assert pixel == pytest.approx(roc_auc_score(truth, levels_of(heat)), abs=1e-12)
        assert pixel == pytest.approx(roc_auc_score(truth, heat), abs=5e-4), "levels lose next to nothing"
        assert pro == pytest.approx(slow_pro(seen, drawn, levels=True), abs=1e-9)
        assert pro == pytest.approx(slow_pro(seen, drawn, levels=False), abs=5e-3)
    assert values["pixel_auroc"] == pytest.approx(found["pixel_auroc"](ONCE)[0])


def test_perfect_and_reversed_maps_have_the_ends_of_the_scale() -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[10:20, 10:20] = 1
    for sign, auroc, pro in ((1, 1.0, 1.0), (-1, 0.0, 0.0)):
        heat = np.exp(sign * (mask - 0.5)).astype(np.float32)
        seen = [
            Seen(0, float(np.exp(-sign)), np.full_like(heat, np.exp(-sign * 0.5)), mask * 0, 0),
            Seen(1, 1.0, heat, mask, 0),
        ]
        values, _, _ = measured(seen)
        assert (values["auroc"], values["pixel_auroc"], values["pro"]) == pytest.approx((auroc, auroc, pro))


def test_errors_at_the_threshold_and_tables() -> None:
    heat = np.ones((4, 4), np.float32)
    scores = [(0, 0.5), (0, 1.5), (0, 1.0), (1, 1.2), (2, 0.9), (2, 3.0)]
    values, rows, tables = measured([Seen(label, score, heat, None, 0) for label, score in scores])
    assert values["false_alarms"] == pytest.approx(1 / 3), "a score of 1 is not above the threshold"
    assert values["missed"] == pytest.approx(1 / 3)
    assert set(values) == {"auroc", "false_alarms", "missed"}, "no masks, no scores of pixels"
    assert rows["score"].tolist() == pytest.approx([0.5, -0.5, 0, 0.2, -0.1, 2.0])
    assert rows["told"][4] == "hole → good, 0.90"
    per_class = tables["per_class"].set_index("class")
    assert per_class["recall"].tolist() == pytest.approx([2 / 3, 1, 0.5])
    assert np.isnan(per_class["auroc"]["good"])
    assert tables["scores"][["good", "defective"]].to_numpy().sum() == len(scores)
    assert tables["roc"].iloc[-1][["false_alarms", "found"]].tolist() == [1, 1]


def test_maps_of_another_size_of_region_count_alike() -> None:
    """A missed large defect and a missed small one cost the same, other than in pixel AUROC."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[2:32, 2:32], mask[36:38, 36:38] = 1, 1
    large, small = np.full((2, SIDE, SIDE), 0.5, np.float32)
    large[2:32, 2:32], small[36:38, 36:38] = 2, 2
    found = [
        measured([Seen(0, 0.5, large * 0 + 0.5, mask * 0, 0), Seen(1, 2.0, heat, mask, 0)])[0]
        for heat in (large, small)
    ]
    assert found[0]["pro"] == pytest.approx(found[1]["pro"])
    assert found[0]["pixel_auroc"] > found[1]["pixel_auroc"] + 0.3
