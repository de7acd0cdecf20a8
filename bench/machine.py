"""What a figure depends on besides the code: the machine and the libraries; no name of a host, and no path."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from sightline.system.processors import usable_processors

# Instructions that change which kernels torch, ONNX Runtime and OpenCV choose.
FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")


def machine() -> dict[str, Any]:
    """Return the processor, how many cores this process may use, instructions that matter, and the memory."""
    name, flags = _processor()
    return {
        "processor": name,
        "cores": usable_processors(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
    }


def _processor() -> tuple[str, set[str]]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    values: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    flags = set((values.get("flags") or values.get("Features") or "").split())
    return values.get("model name") or platform.processor() or platform.machine(), flags


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def installed(library: str) -> bool:
    """Tell whether a library is there."""
    return library in versions([library])


def in_process(module: str, *arguments: str) -> Any:
    """Return what `python -m MODULE ARGUMENTS` prints as JSON, in a process of its own."""
    command = [sys.executable, "-m", module, *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def peak_mib() -> int:
    """Return the most memory that this process has had, MiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS; on Linux it would be that of the process it was forked from where that is larger
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10
