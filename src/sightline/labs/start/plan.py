"""A model that could be trained, and what decides it: networks whose weights can be had, and the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sightline.labs.start.entries import Chosen, Entry, plain

_MOST_WORKERS = 8


@dataclass(frozen=True)
class Published:
    """A network with weights that can be had.

    Attributes:
        name: as in `timm:tf_efficientnet_lite0`.
        size: pixels of the input that its weights were made for.
        at_hand: whether the weights are files here, so that no network is needed.
    """

    name: str
    size: int
    at_hand: bool


@dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
        processors: that may be used.
        gpu: whether there is one.
    """

    processors: int
    gpu: bool


@dataclass(frozen=True)
class Plan:
    """A model that could be trained.

    Attributes:
        entry: of `models:`, without `trainer.max_epochs`.
        least, most: epochs below which it is not worth beginning, and above which little is gained.
        note: what the user should know, if this is chosen.
    """

    entry: Entry
    least: int
    most: int
    note: str = ""

    @property
    def network(self) -> str:
        """Name of the network, for the user: its architecture or body, or the task where that has only one."""
        task = plain(self.entry)["task"]
        return str(task.get("backbone") or task.get("architecture") or f"the network of {task['kind']}")

    @property
    def size(self) -> int:
        """Side of the input, pixels."""
        return int(plain(self.entry)["input"]["size"])

    def with_epochs(self, epochs: int, why: str) -> Entry:
        """Return the entry with the number of epochs."""
        trainer = {"max_epochs": Chosen(epochs, why), **self.entry["trainer"]}
        return {**self.entry, "trainer": trainer}

    def on(self, machine: Machine) -> Plan:
        """Return the plan with loader processes where a GPU would wait for images; a CPU has none to spare."""
        if not machine.gpu:
            return self
        workers = Chosen(max(1, min(_MOST_WORKERS, machine.processors - 1)), "prepare batches while the GPU computes")
        return replace(self, entry={**self.entry, "trainer": {**self.entry["trainer"], "num_workers": workers}})


def batch_of(samples: int, wanted: int) -> int:
    """Return a batch of which an epoch has at least about 8.

    Args:
        samples: of the train split.
        wanted: images, as many as are useful.
    """
    most = max(1, samples // 8)
    return min(wanted, 1 << (most.bit_length() - 1))
