import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.operations.retraining.programs import Background, guarded
from sightline.operations.retraining.schedule import start, stop, tell
from sightline.system.errors import UserError

# A shell whose child ignores SIGTERM, as a training that does not listen.
STUBBORN = "trap '' TERM; echo $$ > stage; sleep 60 & echo $! > child; wait; sleep 60"
STARTER = f"""\
import sys
from pathlib import Path
from sightline.operations.retraining.programs import guarded
lock = open("lock", "a")
import fcntl
fcntl.flock(lock, fcntl.LOCK_EX)
with guarded(["sh", "-c", {STUBBORN!r}], Path(), locks=[lock.fileno()]) as process:
    process.wait()
"""


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def lives(path: Path) -> bool:
    """Return whether the process noted in a file runs; one that is dead and not yet collected does not."""
    try:
        return Path(f"/proc/{int(path.read_text())}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_lines_and_exit_code_come_through(tmp_path: Path) -> None:
    with guarded(["sh", "-c", "echo out; echo err >&2; exit 7"], tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == ["out", "err"]
        assert process.wait() == 7


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    with guarded(["sh", "-c", "sleep 60 > /dev/null 2>&1 & echo $! > child"], tmp_path) as process:
        assert process.wait() == 0
        assert not lives(tmp_path / "child")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_starter_leaves_nothing(tmp_path: Path, kind: int) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER], cwd=tmp_path)
    stage, child = tmp_path / "stage", tmp_path / "child"
    until(lambda: child.exists() and child.read_text() and lives(child))
    starter.send_signal(kind)
    starter.wait()
    with (tmp_path / "lock").open("a") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held as long as the stage lives
    until(lambda: not lives(stage) and not lives(child), seconds=5)

    def free() -> bool:
        with (tmp_path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    until(free)  # the guard ends a little later


def test_a_background_program_runs_once_and_ends(tmp_path: Path) -> None:
    program = Background("sleeper", tmp_path / "own")
    assert program.pid() is None
    assert not program.stop()
    command = ["sh", "-c", "echo started $WHAT; sleep 60 & wait"]
    pid = program.start(command, tmp_path, {"WHAT": "here"})
    assert program.start(command, tmp_path, {}) == pid == program.pid()
    until(lambda: program.log.read_text() == "started here\n")
    assert program.stop()
    os.waitpid(pid, 0)
    assert program.pid() is None
    assert not (tmp_path / "own" / "sleeper.pid").exists()


def test_what_a_background_program_gave_a_session_of_its_own_ends_too(tmp_path: Path) -> None:
    program = Background("starter", tmp_path)
    start_away = """\
import subprocess
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
open("child", "w").write(str(child.pid))
child.wait()
"""
    pid = program.start([sys.executable, "-c", start_away], tmp_path, {})
    until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    assert lives(tmp_path / "child")
    assert program.stop()
    os.waitpid(pid, 0)
    until(lambda: not lives(tmp_path / "child"), seconds=5)


def test_a_number_given_anew_misleads_nobody(tmp_path: Path) -> None:
    program = Background("sleeper", tmp_path)
    (tmp_path / "sleeper.pid").write_text(str(os.getpid()))  # of a program that has long ended
    assert program.pid() is None
    assert not program.stop()


def test_a_schedule_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prefect\.yaml: no such file"):
        start(tmp_path, 4299, print)
    told: list[str] = []
    stop(tmp_path, told.append)
    assert told == ["nothing was running"]
    assert not tell(tmp_path, told.append)
    assert told[1].startswith("server: does not run")
