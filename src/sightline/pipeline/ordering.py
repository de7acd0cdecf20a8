"""Which stages may run, and which of them first: what the stages need in, an order out."""

from __future__ import annotations

from collections.abc import Mapping, Set

Needs = Mapping[str, Set[str]]  # stage -> stages that it needs


def chain_lengths(needs: Needs) -> dict[str, int]:
    """Return for each stage the length of the longest chain of stages that begins with it."""
    needed_by: dict[str, set[str]] = {stage: set() for stage in needs}
    for stage, own in needs.items():
        for other in own:
            needed_by[other].add(stage)
    lengths: dict[str, int] = {}

    def length(stage: str) -> int:
        if stage not in lengths:
            lengths[stage] = 1 + max((length(other) for other in needed_by[stage]), default=0)
        return lengths[stage]

    for stage in needs:
        length(stage)
    return lengths


def ready_stages(needs: Needs, pending: Set[str], done: Set[str], lengths: Mapping[str, int]) -> list[str]:
    """Return the pending stages with nothing to wait for, the one with the longest chain behind it first."""
    return sorted((stage for stage in pending if needs[stage] <= done), key=lambda one: (-lengths[one], one))
