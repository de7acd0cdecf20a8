"""How a process of the pipeline starts."""

import os
import subprocess
import sys

import pytest

from sightline.pipeline.process import fail

TAKE_AND_FREE = """
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from sightline.pipeline.process import set_up_process

set_up_process()


def take_and_free():
    global first
    for turn in range(11):
        np.ones(100 << 20, np.uint8)
        if turn == 0:
            first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt


if "thread" in sys.argv:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(take_and_free).result()
else:
    take_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_freed_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    def page_faults(*arguments: str, **environment: str) -> int:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", TAKE_AND_FREE, *arguments]
        done = subprocess.run(command, env={**kept, **environment}, check=True, capture_output=True, text=True)
        return int(done.stdout)

    usual = page_faults(MALLOC_ARENA_MAX="2")
    assert usual > 100, "ten blocks of 100 MiB are taken anew each time, in pages of 4 KiB or of 2 MiB"
    assert page_faults() < usual / 10
    assert page_faults("thread") < usual / 10


def test_builds_of_torch_that_do_not_fit_are_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(RuntimeError("operator torchvision::nms does not exist")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("torch 2.")
    assert "do not fit together; install both from one index" in line
    with pytest.raises(RuntimeError, match="another"):
        fail(RuntimeError("another"))
