"""How a pipeline script starts: quiet libraries, checked params, errors as lines with exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sightline.system.disk import disk_error
from sightline.system.errors import UserError

# Telemetry and update checks are off unless the user has set the variable.
QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, from 1.29 on
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
# OpenMP's threads spin for milliseconds at each barrier. Alone that saves a small network a tenth to a fifth of its
# time; next to another busy process it makes training 3 to 6 times slower (docs/performance.md). So they spin briefly.
SHARING = {"GOMP_SPINCOUNT": "1000"}


# glibc gives large blocks back to the kernel as soon as they are free, and a network's next batch takes them again, a
# page fault for every 4 KiB: more than half of the time at 224 px (docs/performance.md). So they are kept. That counts
# for the memory of the first thread; the others, such as those of a server, would have memory of their own.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_KEPT_BYTES = 1 << 30


_LONG = ("embed@", "fit_head@", "evaluate@", "explain@", "quantise@")
_WORTH_SAYING = 10.0  # seconds


def set_up_process() -> None:
    """Switch off every library's telemetry, share the processor, keep memory; to be called before torch is imported."""
    for name, value in (QUIET | SHARING).items():
        os.environ.setdefault(name, value)
    if sys.platform == "linux" and not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        import ctypes

        with suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_ARENA_MAX, 1)


def fail(error: Exception) -> int:
    """Print the lines of what a user can fix, bad input or a full disk, and return its exit code; raise others again.

    It is the one place where programs end; what they write themselves is undone where it is written.
    """
    told = error if isinstance(error, UserError) else disk_error(error) or _unfit_torch(error)
    if told is None:
        raise error
    for line in told.lines:
        print(line, file=sys.stderr)
    return 2


def _unfit_torch(error: Exception) -> UserError | None:
    """Return what to do where torch and torchvision are builds for different machines, as pip may choose them."""
    if "operator torchvision::" not in str(error):
        return None
    from importlib.metadata import version

    builds = " and ".join(f"{name} {version(name)}" for name in ("torch", "torchvision"))
    return UserError(
        f"{builds} do not fit together; install both from one index, e.g. in a clone of Sightline: uv pip install "
        "--reinstall-package torch --reinstall-package torchvision -r requirements.lock"
    )


def run_stage(stage: Callable[..., None], root: Path = Path(), at_rest: Callable[[], bool] = lambda: False) -> None:
    """Run `stage(params, *arguments)` with the checked params of `root/params.yaml`, and exit.

    Policies of augmentation are not part of the check, as that imports Albumentations: see `config.check_policy`.
    `at_rest` is asked before anything else is imported; where it says yes there is nothing to do, and no time to note.

    DVC deletes a stage's outputs before it runs; after bad input the last good ones are put back from its cache. After
    success it is noted how long the stage took (`durations`).
    """
    set_up_process()
    name = os.environ.get("DVC_STAGE", "")
    try:
        if at_rest():
            return
        from sightline.config import load_params
        from sightline.pipeline.notes import note_duration

        params = load_params(root / "params.yaml", policies=False)
        expected = _expected(root, name) if name else None
        stage(params, *sys.argv[1:])
        if name:
            note_duration(root, name, expected)
    except Exception as error:
        code = fail(error)
        _restore_outputs()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)


def _expected(root: Path, stage: str) -> float:
    """Return the seconds that a stage is expected to take; say so of a long one if more than a constant is known."""
    from sightline.pipeline import durations

    guess = durations.guesses(root, [stage])[stage]
    long = stage.startswith("train@") or (stage.startswith(_LONG) and guess.seconds >= _WORTH_SAYING)
    if long and guess.source != "assumed":
        print(f"about {durations.time_words(guess.seconds)} ({guess.source})", flush=True)
    return guess.seconds


def _restore_outputs() -> None:
    name = os.environ.get("DVC_STAGE")
    if name:
        import subprocess

        command = [sys.executable, "-m", "dvc", "checkout", "--quiet", "--force", name]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # the first run has nothing to restore
