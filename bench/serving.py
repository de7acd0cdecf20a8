"""The server against a bare loop: `python -m bench.serving`.

Many clients send JPEGs of 224 x 224 pixels over loopback to `sightline serve` with a MobileNetV2 of random weights. The
bare loop decodes the same JPEGs and runs the same ONNX file, alone in one process. Server and clients share the same
cores, so the ratio of throughputs counts the clients too; 1.0 would be an HTTP that costs nothing. The loop's best
setting (size of batch, whether threads spin) is what counts. As other processes may disturb, both are timed in turns,
and the images per second of processor time are told as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from sklearn.datasets import load_sample_images

from sightline.data.images import decode
from sightline.pipeline.process import set_up_process

SIZE = 224  # pixels
BARE = [(1, True), (1, False), (8, True), (8, False)]  # images of a batch, whether ONNX Runtime's threads spin


def write_mobilenet(folder: Path) -> None:
    """Write the directory of a MobileNetV2 with random weights for 1000 classes, and its ONNX file."""
    from sightline.config.models import Input
    from sightline.config.tasks.classification import Classification
    from sightline.data.structures import LabelMap
    from sightline.tasks import build
    from sightline.training.artifact.folder import ModelCard, write_model

    names = tuple(f"class {number}" for number in range(1000))
    labels = LabelMap(names, names)
    config, image = Classification(kind="classification", architecture="torchvision:mobilenet_v2"), Input(size=SIZE)
    task = build(config, image, labels).eval()
    write_model(folder, task, ModelCard(config, image, labels, "float32", True, 2, "0" * 64))


def photographs(count: int = 64) -> list[bytes]:
    """Return JPEGs of parts of two photographs, about 15 kB each."""
    images, generator = load_sample_images().images, np.random.default_rng(0)
    encoded = []
    for number in range(count):
        photo = images[number % 2]
        top, left = generator.integers(0, photo.shape[0] - SIZE), generator.integers(0, photo.shape[1] - SIZE)
        part = photo[top : top + SIZE, left : left + SIZE, ::-1]
        encoded.append(cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return encoded


def bare_loop(model: Path, seconds: float, batch: int, spin: bool) -> dict[str, float]:
    """Return images per second, and per second of processor time, of decoding and the network alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), options, providers=["CPUExecutionProvider"])
    images = photographs()
    done, began, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        chosen = [images[(done + place) % len(images)] for place in range(batch)]
        session.run(None, {"images": np.stack([decode(image, 3) for image in chosen])})
        done += batch
    return {"rate": done / (time.perf_counter() - began), "per_cpu": done / (time.process_time() - used)}


@dataclass
class Client(asyncio.Protocol):
    """One connection that sends the next request as soon as the last one is answered: little work per request."""

    requests: list[bytes]
    end: float
    latencies: list[float]
    errors: list[str]
    over: asyncio.Future[None]

    def connection_made(self, transport: Any) -> None:
        """Send the first request."""
        self._transport, self._turn = transport, 0
        self._send()

    def _send(self) -> None:
        self._received, self._needed, self._began = bytearray(), 0, time.perf_counter()
        self._transport.write(self.requests[self._turn % len(self.requests)])
        self._turn += 1

    def data_received(self, data: bytes) -> None:
        """Note an answer when it is whole, and send the next request."""
        self._received += data
        if not self._needed and (head := self._received.find(b"\r\n\r\n")) >= 0:
            fields = self._received[:head].lower()
            length = int(fields.partition(b"content-length: ")[2].split(b"\r\n")[0])
            self._needed = head + 4 + length
        if not self._needed or len(self._received) < self._needed:
            return
        if self._received.startswith(b"HTTP/1.1 200 "):
            self.latencies.append(time.perf_counter() - self._began)
        else:
            self.errors.append(self._received[:200].decode(errors="replace"))
        if time.perf_counter() < self.end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count a loss before the end as an error."""
        if time.perf_counter() < self.end:
            self.errors.append(f"connection lost ({error})")
        if not self.over.done():
            self.over.set_result(None)


async def clients(port: int, count: int, seconds: float) -> dict[str, Any]:
    """Return what `count` connections were answered."""
    requests = []
    for image in photographs():
        head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        body = head + image + b"\r\n--b--\r\n"
        fields = (
            f"Host: 127.0.0.1:{port}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}"
        )
        requests.append(f"POST /predict?top=5 HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    loop, latencies, errors = asyncio.get_running_loop(), list[float](), list[str]()
    began, used = time.perf_counter(), time.process_time()
    overs = [loop.create_future() for _ in range(count)]
    for number, over in enumerate(overs):
        own = requests[number % len(requests) :] + requests[: number % len(requests)]
        await loop.create_connection(
            lambda own=own, over=over: Client(own, began + seconds, latencies, errors, over),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    await asyncio.gather(*overs)
    taken = time.perf_counter() - began
    quantiles = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return {
        "rate": len(latencies) / taken,
        "errors": len(errors),
        "first_error": errors[:1],
        "p50": quantiles[49],
        "p99": quantiles[98],
        "done": len(latencies),
        "cpu": time.process_time() - used,
    }


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def in_process(*arguments: str) -> Any:
    """Return what this program prints as JSON when it runs as a process of its own."""
    command = [sys.executable, "-m", "bench.serving", *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(model: Path, arguments: argparse.Namespace) -> None:
    """Time loop and server in turns, and print what came out."""
    server = subprocess.Popen(
        [sys.executable, "-m", "sightline", "serve", str(model), "--port", "0", *arguments.option],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1].rpartition(":")[2]
        loops: dict[tuple[int, bool], list[float]] = {setting: [] for setting in BARE}
        loops_cpu: dict[tuple[int, bool], list[float]] = {setting: [] for setting in BARE}
        rates, per_cpu = [], []
        for _ in range(arguments.repetitions):
            for batch, spin in BARE:
                found = in_process("--bare", str(batch), str(int(spin)), "--model", str(model), "--seconds", "5")
                loops[batch, spin].append(found["rate"])
                loops_cpu[batch, spin].append(found["per_cpu"])
            before = processor_seconds(server.pid)
            told = in_process("--send", port, "--seconds", str(arguments.seconds), "--clients", str(arguments.clients))
            used = processor_seconds(server.pid) - before
            rates.append(told["rate"])
            per_cpu.append(told["done"] / (used + told["cpu"]))
            print(
                f"server {told['rate']:.0f} images/s, {told['errors']} errors {told['first_error']}, "
                f"p50 {told['p50']:.2f} s, p99 {told['p99']:.2f} s; "
                f"processor: server {used:.1f} s, clients {told['cpu']:.1f} s",
                flush=True,
            )
            print("loops " + ", ".join(f"{key}: {value[-1]:.0f}" for key, value in loops.items()), flush=True)
    finally:
        server.terminate()
        server.wait()
    best = max(statistics.median(values) for values in loops.values())
    best_cpu = max(statistics.median(values) for values in loops_cpu.values())
    rate, cpu = statistics.median(rates), statistics.median(per_cpu)
    print(f"medians: server {rate:.0f}, best loop {best:.0f} images/s: ratio {rate / best:.2f}")
    print(f"per second of processor time: {cpu:.0f} and {best_cpu:.0f} images: ratio {cpu / best_cpu:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a model directory with model.onnx; default: MobileNetV2, made anew")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each turn of the server")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--option", action="append", default=[], help="of sightline serve, such as --option=--workers=2"
    )
    parser.add_argument("--bare", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    set_up_process()
    if arguments.bare:
        batch, spin = arguments.bare
        print(json.dumps(bare_loop(arguments.model, arguments.seconds, batch, bool(spin))))
    elif arguments.send:
        print(json.dumps(asyncio.run(clients(arguments.send, arguments.clients, arguments.seconds))))
    elif arguments.model:
        measure(arguments.model, arguments)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_mobilenet(Path(folder) / "mobilenet")
            measure(Path(folder) / "mobilenet", arguments)


if __name__ == "__main__":
    main()
