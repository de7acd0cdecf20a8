"""What must be found on 200 images, and what must not: the draws of bench/drift.py."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.drift import KINDS, QUIET, RECENT, REQUIRED, blurred, brighter, flagged, measure
from sightline.operations.drift.images import Images
from sightline.operations.drift.observers import HandmadeObserver
from sightline.operations.drift.seen import Seen, look

FLOWERS = Path(__file__).parents[3] / "shared/data/flowers12"


def test_a_few_draws() -> None:
    results = measure(["none", "blur 2 px", "other colours"], 1, [100], HandmadeObserver())
    assert {kind: result.found[100] for kind, result in results.items()} == {
        "none": 0,
        "blur 2 px": 1,
        "other colours": 1,
    }


@pytest.mark.slow
def test_every_draw_of_a_shift_is_flagged_and_hardly_one_without() -> None:
    draws = 20
    results = measure([*REQUIRED, *QUIET], draws, [RECENT], HandmadeObserver())
    assert set(results) <= set(KINDS)
    found = {kind: result.found[RECENT] for kind, result in results.items()}
    assert {kind: found[kind] for kind in REQUIRED} == dict.fromkeys(REQUIRED, draws)
    assert all(found[kind] <= draws // 20 for kind in QUIET), found


@pytest.mark.real
@pytest.mark.skipif(not FLOWERS.is_dir(), reason="needs the photographs of flowers12")
def test_photographs() -> None:
    files = sorted((FLOWERS / "train").rglob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(files))
    observer = HandmadeObserver()

    def seen(chosen: np.ndarray, change: object = None) -> Seen:
        def read(number: int) -> bytes:
            encoded = files[chosen[number]].read_bytes()
            if not callable(change):
                return encoded
            image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
            return cv2.imencode(".png", change(image))[1].tobytes()

        found = look(Images([str(number) for number in chosen], read, len(chosen)), observer)
        assert found is not None
        return found

    reference, recent = seen(order[:300]), order[300:500]
    assert not flagged(reference, seen(recent), 0)[0]
    assert not flagged(reference, seen(recent, brighter(1.01)), 0)[0]
    assert flagged(reference, seen(recent, brighter(1.25)), 0)[0]
    assert flagged(reference, seen(recent, blurred(2)), 0)[0]
