"""Heat maps from several clients at once, and one that takes too long."""

import concurrent.futures
import threading
import time
from pathlib import Path
from typing import Any

from served import Running, Start, encoded, photograph

from sightline.operations.serve import Limits, ServedModel, load_served


class Slow(ServedModel):
    """A model whose heat maps wait for a permission."""

    def __init__(self, folder: Path) -> None:
        loaded = load_served(folder, "digit", "1")
        super().__init__(loaded.name, loaded.version, loaded.folder, loaded.predictor)
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.most, self._now, self._count = 0, 0, threading.Lock()

    def network(self) -> Any:
        with self._count:
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.set()
        try:
            assert self.go_on.wait(30)
            return super().network()
        finally:
            with self._count:
                self._now -= 1


def explaining_threads() -> int:
    return sum(thread.name.startswith("explaining") for thread in threading.enumerate())


def test_a_map_that_nobody_waits_for_any_more_still_counts(classifier: Path, start: Start) -> None:
    model, image = Slow(classifier), encoded(photograph())
    server: Running = start(model, Limits(seconds=0.3))
    before = explaining_threads()
    assert server.send(image, path="/explain").status_code == 504
    for _ in range(5):
        began = time.monotonic()
        refused = server.send(image, path="/explain")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1"), refused.text
        assert time.monotonic() - began < 0.3
    assert explaining_threads() <= max(before, 1)
    assert server.send(image).status_code == 200, "predictions go on"
    model.go_on.set()
    until = time.monotonic() + 20
    while (answer := server.send(image, path="/explain")).status_code != 200:
        assert answer.status_code in (503, 504)
        assert time.monotonic() < until
        time.sleep(0.02)
    assert model.most == 1


def test_what_is_given_up_before_it_begins_frees_its_place(classifier: Path, start: Start) -> None:
    server: Running = start(classifier, Limits(seconds=1e-6))
    image = encoded(photograph())
    for _ in range(10):
        until = time.monotonic() + 10
        while (code := server.send(image, path="/explain").status_code) == 503:  # the one before still computes
            assert time.monotonic() < until
        assert code in (408, 504)


def test_two_clients_at_once_get_maps_or_refusals(classifier: Path, start: Start) -> None:
    server: Running = start(classifier)
    image = encoded(photograph())

    def ask(_: int) -> int:
        for _ in range(200):
            answer = server.send(image, path="/explain")
            if answer.status_code != 503:
                return answer.status_code
            assert answer.headers["Retry-After"] == "1"
            time.sleep(0.01)
        return 503

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(40))) == [200] * 40
