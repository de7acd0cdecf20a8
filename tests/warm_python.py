"""A `python` whose processes begin with the libraries imported: forks of one server, for tests that run many programs.

A stage of the pipeline spends ten times as long on imports as on a small training. What is forked is a process of its
own all the same, with the folder, environment, streams, signals and exit code that it would have, and it imports the
package itself. Forks of one server share the seed of Python's hashes, though, and would not notice a missing import of
a library; so some tests start the real interpreter (`Project(..., warm=False)`).
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

LIBRARIES = (  # without onnxruntime, which has threads
    *("numpy.random", "pandas", "pyarrow.parquet", "scipy.stats", "cv2", "PIL.Image", "pydantic", "ruamel.yaml"),
    *(
        "torch",
        "torch.onnx",
        "pytorch_lightning",
        "torchvision",
        "timm",
        "albumentations",
        "onnx",
    ),  # onnxruntime has threads
    *("sklearn.svm", "sklearn.pipeline", "sklearn.calibration", "sklearn.linear_model", "sklearn.datasets", "skops.io"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "rich.console", "rich.table", "captum.attr"),
    *("mlflow", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"),
    *("mlflow.store.model_registry.sqlalchemy_store", "dvc.cli", "dvc.cli.parser", "dvc.repo", "dvc.repo.reproduce"),
    *("dvc.commands.repro", "dvc.commands.status", "dvc.stage.loader", "dvc.stage.run", "dvc_data.index"),
)
# The program `python`: asks the server for a process and stands for it until that ends. It imports next to nothing.
CLIENT = """\
#!{executable} -IS
import json, os, signal, socket, sys
if not sys.argv[1:] or (sys.argv[1].startswith("-") and sys.argv[1] != "-m"):
    os.execv({executable!r}, [{executable!r}, *sys.argv[1:]])
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
code = int.from_bytes(server.recv(4), "big", signed=True)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@cache
def warm_python() -> str:
    """Return the program, which PATH may find in its folder; the plain one where the system cannot do it."""
    if not hasattr(os, "pidfd_open"):  # not Linux
        return sys.executable
    folder = tempfile.TemporaryDirectory(prefix="warm-")
    program, address = Path(folder.name, "python"), str(Path(folder.name, "socket"))
    program.write_text(CLIENT.format(executable=sys.executable, address=address))
    program.chmod(0o755)
    command = [sys.executable, "-P", __file__, address]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(command, env=kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.communicate()  # the end of its input is its end
        folder.cleanup()

    atexit.register(end)
    return str(program)


Request = tuple[list[str], str, dict[str, str]]


class Server:
    """Waits for clients, signals for processes, and the ends of processes."""

    def __init__(self, address: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen()
        self.clients: dict[int, socket.socket] = {}  # by process
        self.waiting = selectors.DefaultSelector()
        self.waiting.register(0, selectors.EVENT_READ, sys.exit)  # the end of the input
        self.waiting.register(self.listener, selectors.EVENT_READ)

    def next_request(self) -> Request:
        """Return, in a new process, what that is to run; in the server it never returns."""
        while True:
            for key, _ in self.waiting.select():
                if key.fileobj is self.listener:
                    if (request := self.begin()) is not None:
                        return request
                elif isinstance(key.data, int):
                    self.end(key.data, key.fd) if isinstance(key.fileobj, int) else self.signal(key.data)
                else:
                    key.data()

    def begin(self) -> Request | None:
        client, _ = self.listener.accept()
        request, streams = received(client)
        pid = os.fork()
        if not pid:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            self.waiting.close()
            for other in (self.listener, client, *self.clients.values()):
                other.close()
        for stream in streams:
            os.close(stream)
        if not pid:
            return request
        self.clients[pid] = client
        self.waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        self.waiting.register(client, selectors.EVENT_READ, pid)
        return None

    def end(self, pid: int, descriptor: int) -> None:
        """Tell a client how its process ended."""
        self.waiting.unregister(descriptor)
        os.close(descriptor)
        code, client = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), self.clients.pop(pid)
        with suppress(KeyError):
            self.waiting.unregister(client)
        with suppress(OSError):  # the client is no more
            client.sendall(code.to_bytes(4, "big", signed=True))
        client.close()

    def signal(self, pid: int) -> None:
        """Hand a signal on to a process, SIGKILL where its client was killed."""
        if pid not in self.clients:
            return  # it ended meanwhile
        told = self.clients[pid].recv(1)
        if not told:
            self.waiting.unregister(self.clients[pid])
        os.kill(pid, told[0] if told else signal.SIGKILL)


def received(client: socket.socket) -> tuple[Request, list[int]]:
    length, streams, _, _ = socket.recv_fds(client, 8, 3)
    content = bytearray()
    while len(content) < int.from_bytes(length, "big"):
        content += client.recv(1 << 16)
    arguments, folder, environment = json.loads(content)
    return (arguments, folder, environment), streams


def renew(environment: dict[str, str], path: list[str], folder: str) -> None:
    """Make of the process what a new one would be."""
    import random

    import numpy as np
    import torch

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [*path, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
    random.seed()
    np.random.seed()
    torch.seed()


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    assert not any(name.split(".")[0] == "sightline" for name in sys.modules)
    import gc

    gc.collect()
    gc.freeze()
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    others = [name for name in threads if not name.startswith(("python", "jemalloc"))]  # this one knows of forks
    assert not others, f"a fork has no such threads, and may wait for them: {others}"
    server = Server(sys.argv[1])
    print("ready", flush=True)
    arguments, folder, environment = server.next_request()
    if arguments[0] == "-m":
        renew(environment, [folder], folder)
        sys.argv[:] = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        renew(environment, [str(Path(folder, arguments[0]).parent)], folder)
        sys.argv[:] = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
