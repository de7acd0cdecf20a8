"""The device on which networks predict, extract and are explained; a training has `trainer.accelerator`."""

from __future__ import annotations

import os

import torch

from sightline.system.errors import UserError, first_line

VARIABLE = "SIGHTLINE_DEVICE"


def chosen_device() -> str:
    """Return what the environment variable SIGHTLINE_DEVICE names, else `cuda` where there is one, else `cpu`.

    Raises:
        UserError: it names none of this machine's devices.
    """
    named = os.environ.get(VARIABLE) or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=named)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without CUDA asserts
        first = first_line(error)
        raise UserError(f"{VARIABLE}={named}: no such device here ({first}); use cpu, cuda, cuda:1, mps") from None
    return named
