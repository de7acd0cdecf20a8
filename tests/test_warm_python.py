"""A warm process is to a program what a new one is: folder, environment, streams, exit code, signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from warm_python import warm_python

PROGRAM = """\
import json, os, random, sys
import beside
print(json.dumps([os.getcwd(), sys.argv, os.environ.get("WORD"), sys.stdin.read(), beside.__file__, random.random()]))
print("told", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text("")
    return tmp_path


def test_a_program_sees_what_it_would_in_a_new_process(folder: Path) -> None:
    def answers(python: str, *arguments: str) -> list[str]:
        done = subprocess.run(
            [python, *arguments],
            cwd=folder,
            env={**os.environ, "WORD": "here"},
            input="in",
            check=False,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (3, "told\n")
        told, number = done.stdout.rstrip("]\n").rsplit(", ", 1)
        numbers.add(number)
        return [told]

    numbers: set[str] = set()
    for arguments in (("program.py", "3"), ("-m", "program", "3")):
        warm, cold = answers(warm_python(), *arguments), answers(sys.executable, *arguments)
        assert warm == cold
    assert len(numbers) == 4, "each has random numbers of its own"


def test_an_error_ends_with_its_traceback_and_code_1(folder: Path) -> None:
    (folder / "beside.py").write_text("raise ValueError('wrong')")
    done = subprocess.run([warm_python(), "program.py"], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: wrong\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_reaches_the_program(folder: Path, number: int) -> None:
    (folder / "program.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)\n")
    process = subprocess.Popen([warm_python(), "program.py"], cwd=folder)
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == -number
    own = Path("/proc", (folder / "pid").read_text())
    end = time.monotonic() + 30
    while own.exists():
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.02)
