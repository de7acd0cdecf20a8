"""What a server answers to images, and to everything else."""

import base64
import concurrent.futures
import socket
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from served import Running, Start, encoded, photograph, write_random_model
from torch import nn

from sightline.evaluation.predictor import load_predictor
from sightline.operations.serve import Batching, Limits, ServedModel, load_served


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is huge, in a few bytes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunks + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


class Slow(ServedModel):
    """A model that waits for a permission before it predicts."""

    def __init__(self, loaded: ServedModel) -> None:
        super().__init__(loaded.name, loaded.version, loaded.folder, loaded.predictor)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def predict(self, inputs: Any, options: Any = None) -> Any:
        self.begun.set()
        self.go_on.wait(30)
        return super().predict(inputs, options)


def told(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert isinstance(error, str)
    assert "\n" not in error
    return error


def test_an_answer_is_the_predictors(classifier: Path, start: Start) -> None:
    server, image = start(classifier), encoded(photograph())
    [expected] = load_predictor(classifier).predict([image])
    answer = server.send(image)
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "digit",
        "version": "",
        "predictions": [expected | {"height": 40, "width": 60}],
    }
    text = base64.b64encode(image).decode()
    for body in ({"image": text}, {"images": [text]}):
        assert server.client.post("/predict", json=body).json() == answer.json()
    best = server.send(image, top=2).json()["predictions"][0]["probabilities"]
    surest = sorted(expected["probabilities"].items(), key=lambda pair: -pair[1])[:2]
    assert list(best.items()) == surest
    assert (
        server.client.post("/predict", json={"image": text, "top": 2}).json()["predictions"][0]["probabilities"] == best
    )


def test_batches_answer_as_single_requests_do(classifier: Path, start: Start) -> None:
    server = start(classifier, batching=Batching(max_batch=8, max_wait_ms=50, workers=2))
    images = [encoded(photograph(20 + number, 30, number), ".png") for number in range(40)]
    alone = [server.send(image).json()["predictions"][0] for image in images[:8]]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        together = [answer.json()["predictions"][0] for answer in pool.map(server.send, images)]
    at_once = server.send(*images[:32]).json()["predictions"]
    for one, other, third in zip(alone, together, at_once, strict=False):
        for answer in (other, third):
            assert (answer["label"], answer["height"]) == (one["label"], one["height"])
            assert answer["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
    figures = server.client.get("/metrics").text
    assert 'sightline_requests_total{path="/predict",status="200"} 49.0' in figures
    assert "sightline_batch_images_sum 80.0" in figures
    count = float(figures.split("sightline_batch_images_count ")[1].split()[0])
    assert count < 80  # some were together


def test_maps_come_as_png(segmenter: Path, start: Start) -> None:
    server, image = start(segmenter), encoded(photograph(33, 47), ".png")
    [plain] = server.send(image).json()["predictions"]
    [answer] = server.send(image, pictures=True).json()["predictions"]
    png = np.frombuffer(base64.b64decode(answer.pop("semantic_png")), np.uint8)
    found = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
    [expected] = load_predictor(segmenter).predictions([image])
    assert expected.semantic is not None
    assert np.array_equal(found, expected.semantic)
    assert answer == plain


def test_what_cannot_be_read_is_told_in_one_line(classifier: Path, start: Start) -> None:
    server = start(classifier, Limits(body_megabytes=0.2, images=3, megapixels=0.01))
    good = encoded(photograph())
    png = encoded(photograph(), ".png")
    assert '0.jpg: not an image: it is text, beginning "hello, world"' in told(server.send(b"hello, world"), 415)
    assert "0 bytes" in told(server.send(b""), 422)
    for part in (good[: len(good) // 2], png[: len(png) // 2], encoded(photograph(), ".bmp")[:3000]):
        assert "1.jpg: cannot be read to its end" in told(server.send(good, part), 422)
    assert "9000 x 9000 pixels are more than 0.01 megapixels" in told(server.send(png_header(9000, 9000)), 413)
    assert "(3600000000 pixels) is more than 0.01 megapixels" in told(server.send(png_header(60000, 60000)), 413)
    assert "101 x 100 pixels" in told(server.send(encoded(photograph(100, 101))), 413)
    assert server.send(encoded(photograph(100, 100))).status_code == 200
    assert "4 images, at most 3 are allowed" in told(server.send(good, good, good, good), 413)
    assert "body is over 0.2 MB" in told(server.send(bytes(300_000)), 413)
    assert "known fields are top, pictures, styles" in told(server.send(good, topk=3), 422)
    assert "top: " in told(server.send(good, top=0), 422)


def test_other_bodies_are_refused(classifier: Path, start: Start) -> None:
    post = start(classifier, Limits(body_megabytes=0.2)).client.post
    assert "content type text/plain; send multipart/form-data" in told(
        post("/predict", content=b"x", headers={"Content-Type": "text/plain"}), 415
    )
    assert "content type is missing" in told(post("/predict", content=b"x"), 415)
    json = {"Content-Type": "application/json"}
    assert "the JSON body: Invalid JSON" in told(post("/predict", content=b"{", headers=json), 422)
    assert "image 1: is not base64" in told(post("/predict", json={"image": "data:image/png;base64,AAAA"}), 422)
    assert "imge: " in told(post("/predict", json={"imge": ""}), 422)
    assert "no image in the request" in told(post("/predict", json={}), 422)
    assert "file: unknown part" in told(post("/predict", files={"file": b"x"}), 422)
    assert "image: unknown part" in told(post("/predict", data={"image": "/etc/passwd"}, files={"x": b""}), 422)
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert "the form cannot be read" in told(post("/predict", content=b"nothing of a form", headers=form), 422)
    # A body without a length is cut off where it becomes too large.
    endless = (bytes(10_000) for _ in range(100))
    assert "body is over" in told(post("/predict", content=endless, headers=json), 413)
    assert "known paths are /, /explain" in told(post("/nothing"), 404)
    assert told(post("/health"), 405)


def test_a_full_queue_is_told_and_nothing_accepted_is_lost(classifier: Path, start: Start) -> None:
    slow = Slow(load_served(classifier, "digit", "1"))
    server = start(slow, Limits(queue=3), Batching(max_batch=1))
    image = encoded(photograph())
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = pool.submit(server.send, image)
        assert slow.begun.wait(10)
        waiting = [pool.submit(server.send, image) for _ in range(3)]
        while "sightline_queue_images 3.0" not in server.client.get("/metrics").text:
            time.sleep(0.01)
        refused = server.send(image)
        slow.go_on.set()
        assert "3 images are waiting already" in told(refused, 503)
        assert refused.headers["Retry-After"] == "1"
        assert [one.result().status_code for one in (first, *waiting)] == [200] * 4
    assert server.send(image).status_code == 200
    figures = server.client.get("/metrics").text
    assert 'sightline_requests_total{path="/predict",status="503"} 1.0' in figures
    assert 'sightline_request_seconds_count{path="/predict"} 6.0' in figures
    assert 'sightline_model_info{name="digit",version="1"} 1.0' in figures


def test_what_takes_too_long_is_given_up(classifier: Path, start: Start) -> None:
    slow = Slow(load_served(classifier, "digit", "1"))
    server = start(slow, Limits(seconds=0.3), Batching(max_batch=1))
    image = encoded(photograph())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        late = [pool.submit(server.send, image) for _ in range(2)]
        assert {told(one.result(), 504) for one in late} == {
            "no answer within 0.3 s; send fewer or smaller images, or try again later"
        }
    slow.go_on.set()
    assert server.send(image).status_code == 200
    assert "sightline_batch_images_sum 2.0" in server.client.get("/metrics").text  # one was given up while it waited


def test_a_body_that_does_not_come_is_given_up(classifier: Path, start: Start) -> None:
    server = start(classifier, Limits(seconds=0.3))
    with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_failing_model_answers_500_and_goes_on(
    classifier: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_served(classifier, "digit", "1")
    server, image = start(model), encoded(photograph())

    def fail(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(model, "predict", fail)
        assert "failed on this batch (RuntimeError)" in told(server.send(image), 500)
    assert server.send(image).status_code == 200


def test_a_heat_map_shows_where_the_classifier_looks(
    classifier: Path, segmenter: Path, start: Start, tmp_path: Path
) -> None:
    server, image = start(classifier), encoded(photograph(), ".png")
    answer = server.send(image, path="/explain").json()
    heat = cv2.imdecode(np.frombuffer(base64.b64decode(answer["heat_png"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert heat.shape == (40, 60)
    assert heat.max() > 200
    assert answer["label"] == server.send(image).json()["predictions"][0]["label"]
    assert start(segmenter).send(image, path="/explain").json()["label"] in ("ground", "water")
    numbers = write_random_model(
        tmp_path / "numbers", {"kind": "regression", "architecture": "mnist_cnn"}, values=("x",), classes=()
    )
    assert "numbers: no heat map: task.kind: regression" in told(start(numbers).send(image, path="/explain"), 422)


def test_an_empty_heat_map_is_told(start: Start, tmp_path: Path) -> None:
    def let_biases_decide(network: nn.Module) -> None:
        last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
        nn.init.zeros_(last.weight)

    task = {"kind": "classification", "architecture": "mnist_cnn"}
    folder = write_random_model(tmp_path / "deaf", task, change=let_biases_decide)
    answer = told(start(folder).send(encoded(photograph()), path="/explain"), 422)
    assert "deaf: the heat map is empty: no part of this image supports " in answer


def test_the_server_tells_of_itself(classifier: Path, start: Start) -> None:
    server = start(load_served(classifier, "digit", "3"))
    assert server.client.get("/health").json() == {"ready": True, "model": "digit", "version": "3"}
    described = server.client.get("/model").json()
    assert (described["task"], described["classes"][0]) == ("classification", {"name": "0", "colour": [240, 165, 0]})
    for path, kind in {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}.items():
        page = server.client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith(kind)
        assert "default-src 'self'" in page.headers["content-security-policy"]


def test_many_requests_on_one_connection(classifier: Path, start: Start) -> None:
    server: Running = start(classifier)
    image = encoded(photograph())
    assert [server.send(image).status_code for _ in range(30)] == [200] * 30
