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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from sklearn.datasets import load_sample_images

from bench.machine import in_process
from bench.networks import write_classifier
from bench.report import Report, parsed, parser
from sightline.data.images import decode

PAIRS = 5
SIZE = 224  # pixels
BARE = [(1, True), (1, False), (8, True), (8, False)]  # images of a batch, whether ONNX Runtime's threads spin


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


@contextmanager
def serving(model: Path, options: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a server's process and port; it ends with the block."""
    command = [sys.executable, "-m", "sightline", "serve", str(model), "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server, server.stdout.readline().split()[1].rpartition(":")[2]
    finally:
        server.terminate()
        server.wait()


def measure(model: Path, options: argparse.Namespace, report: Report) -> None:
    """Time loop and server in turns, and report what came out."""
    loops: dict[tuple[int, bool], list[dict[str, float]]] = {setting: [] for setting in BARE}
    served: list[dict[str, Any]] = []
    with serving(model, options.option) as (server, port):
        for _ in range(options.pairs):
            for setting, found in loops.items():
                batch, spin = map(str, map(int, setting))
                bare = ("--bare", batch, spin, "--model", str(model), "--seconds", str(options.seconds / 6))
                found.append(in_process("bench.serving", *bare))
            before = processor_seconds(server.pid)
            send = ("--send", port, "--seconds", str(options.seconds), "--clients", str(options.clients))
            told = in_process("bench.serving", *send)
            used = processor_seconds(server.pid) - before + told["cpu"]
            served.append({**told, "per_cpu": told["done"] / used})
            print(f"server {told['rate']:.0f} images/s, errors {told['errors']} {told['first_error']}", flush=True)
    best, per_cpu = (
        max(loops.values(), key=lambda found: statistics.median(one[kind] for one in found))
        for kind in ("rate", "per_cpu")
    )
    report.add_ratios(
        report.case("images/s"),
        [own["rate"] / loop["rate"] for own, loop in zip(served, best, strict=True)],
        server_per_s=round(statistics.median(own["rate"] for own in served)),
        loop_per_s=round(statistics.median(own["rate"] for own in best)),
        server_per_cpu_s=round(statistics.median(own["per_cpu"] for own in served)),
        loop_per_cpu_s=round(statistics.median(own["per_cpu"] for own in per_cpu)),
        p50_s=round(statistics.median(own["p50"] for own in served), 2),
        p99_s=round(statistics.median(own["p99"] for own in served), 2),
        errors=sum(own["errors"] for own in served),
    )


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, PAIRS)
    own.add_argument("--model", type=Path, help="a model directory with model.onnx; default: MobileNetV2, made anew")
    own.add_argument("--seconds", type=float, default=30.0, help="of each turn of the server; a loop has a sixth of it")
    own.add_argument("--clients", type=int, default=200)
    own.add_argument("--option", action="append", default=[], help="of sightline serve, such as --option=--workers=2")
    own.add_argument("--bare", nargs=2, type=int, help=argparse.SUPPRESS)
    own.add_argument("--send", type=int, help=argparse.SUPPRESS)
    options = parsed(own, argv)
    if options.quick:
        options.seconds, options.clients = 1.0, 4
    if options.bare:
        batch, spin = options.bare
        print(json.dumps(bare_loop(options.model, options.seconds, batch, bool(spin))))
        return
    if options.send:
        print(json.dumps(asyncio.run(clients(options.send, options.clients, options.seconds))))
        return
    report = Report("serving", options)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or write_classifier(Path(folder, "mobilenet"), "torchvision:mobilenet_v2", SIZE)
        measure(model, options, report)
    report.finish()


if __name__ == "__main__":
    main()
