"""Killed at any moment, a delivery is taken wholly or not at all, and the next run completes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Forks a child per file operation that an ingest makes; the child is killed at that operation, its parent goes on.
DRIVER = """
import os, shutil, signal, sys
from pathlib import Path
import cv2
cv2.setNumThreads(0)
from delivery import Site
import sightline.data.raw.checks, sightline.data.raw.formats.image_folder  # once, not in every child
from sightline.operations.ingest import withdraw

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "shutil.copyfile"}

def writes(event, arguments):
    return event in WRITES or (event == "open" and isinstance(arguments[1], str) and arguments[1][:1] in "wa")

def kill_at(number):
    left = [number]
    def hook(event, arguments):
        if writes(event, arguments):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def state(site):
    files = {str(p.relative_to(site.root)) for p in site.root.rglob("*") if p.is_file() and ".sightline" not in p.parts}
    return files, site.samples(), site.record()

def fresh(root):
    shutil.rmtree(root, ignore_errors=True)
    site = Site(root)
    site.write_first()
    for number in range(3):
        site.drop(f"class{number % 2}/new{number}.png", 100 + number)
    site.drop("class0/bad.png", b"")
    return site

def out(site):
    (batch,) = site.batches()
    withdraw(site.params, site.root, "tiny", [batch], "made a model worse")

def trial(root, act, begin, number):
    site = begin(root)
    first = site.samples()
    child = os.fork()
    if not child:
        kill_at(number)
        act(site)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] != 0
    present = len([path for path in (root / "data/raw/tiny/.batches").glob("[0-9]*") if path.is_dir()])
    seen = site.samples()
    assert len(seen) in (24, 27) and (len(seen) == 27) == bool(present), (number, len(seen), present)
    if begin is taken and present or begin is fresh:
        act(site)
    else:
        site.ingest()  # it was withdrawn: the record follows
    return killed, state(site)

def taken(root):
    site = fresh(root)
    site.ingest()
    return site

root = Path(sys.argv[1])
for act, begin in ((Site.ingest, fresh), (out, taken)):
    wanted = begin(root / "calm")
    act(wanted)
    expected = state(wanted)
    number, killed = 0, True
    while killed:
        killed, found = trial(root / "killed", act, begin, number)
        for one, other in zip(found, expected):
            assert one == other, (act.__name__, number, set(one) ^ set(other))
        number += 1
    print(act.__name__, number)
"""


@pytest.mark.slow
def test_a_kill_at_any_file_operation_loses_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    helpers = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1] / "data")))
    environment = {**os.environ, "PYTHONPATH": f"{helpers}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "trials")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    tried = dict(line.split() for line in done.stdout.splitlines())
    assert int(tried["ingest"]) > 15
    assert int(tried["out"]) > 8
