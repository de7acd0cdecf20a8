"""How much memory a training batch takes, and how much there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

# Of free memory. A step was seen to take 1.0 to 1.9 times what autograd keeps: gradients on their way, and workspaces.
SHARE = 0.5


@dataclass(frozen=True)
class BatchMemory:
    """What training keeps in memory, linear in the size of the batch.

    Attributes:
        fixed: bytes regardless of the batch.
        per_sample: further bytes for each sample.
    """

    fixed: int
    per_sample: int

    def bytes_of(self, batch: int) -> int:
        """Return the bytes that a batch needs."""
        return self.fixed + batch * self.per_sample

    def largest(self, limit: int) -> int:
        """Return the largest batch that needs at most `limit` bytes, 0 if there is none."""
        return max(0, limit - self.fixed) // max(1, self.per_sample)


def kept_bytes(network: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Return the bytes that autograd keeps between a loss and its gradients, each memory counted once.

    Args:
        network: its weights and buffers do not count.
        loss: computes the loss of a batch.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself, it would hold the graph that holds it

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outcome = loss()  # held until the sum is made, so that no memory is used twice
        total = sum(kept.values())
        del outcome
    return total


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of the gradients and of the optimizer's state, which its first step makes."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(tensor.nbytes for tensor in (*parameters, *states))


def measure_batch(
    network: nn.Module, loss_of: Callable[[int], Tensor], state: int, sizes: tuple[int, int]
) -> BatchMemory:
    """Measure what two sizes of batch keep, and draw a line through them.

    Args:
        network: whose loss it is.
        loss_of: computes the loss of a batch of some size.
        state: bytes of gradients and optimizer state.
        sizes: of the two batches, the smaller one first.
    """
    small, large = sizes
    low, high = (kept_bytes(network, partial(loss_of, size)) for size in sizes)
    per_sample = -(-(high - low) // (large - small))
    return BatchMemory(state + max(0, low - small * per_sample), per_sample)


def largest_fitting(fits: Callable[[int], bool], first: int, cap: int) -> int:
    """Return the largest batch that fits, to a sixteenth, by doubling and then halving the gap; 0 if not even one does.

    Args:
        fits: tries a size.
        first: size to begin with.
        cap: the largest size of interest.
    """
    good, bad = 0, cap + 1
    size = min(first, cap)
    while good < size < bad:
        if fits(size):
            good = size
            size = min(2 * size, cap)
        else:
            bad = size
    while bad - good > max(1, good // 16):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def available_bytes(root: Path = Path("/")) -> int:
    """Return the memory that this process may still take: what the machine has left, within the limit of its cgroup.

    Args:
        root: of the file system; for tests.
    """
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux: half of what is built in
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return min([free, *_cgroup_rooms(root)])


def _cgroup_rooms(root: Path) -> list[int]:
    """Bytes left in each control group around this process that has a limit, of version 1 or 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    mount = root / "sys/fs/cgroup"
    rooms = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit, usage = mount, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top, limit, usage = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # In a container the path may be the host's, which is not there; the mount is then the container's own group.
        here = top / path.lstrip("/")
        rooms += [_room(group, limit, usage) for group in (here, *here.parents) if group == top or top in group.parents]
    return [room for room in rooms if room is not None]


def _room(group: Path, limit: str, usage: str) -> int | None:
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    # Cached files count as used, but give way.
    return None if most == "max" else int(most) - used + int(statistics.get("inactive_file", 0))
