"""Which plan fits into the time that there is, with as few of them timed as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sightline.labs.start.plan import Plan
from sightline.labs.start.timing import StepTimes


@dataclass(frozen=True)
class Fit:
    """A plan with its times and the epochs that fit into the time that there is."""

    plan: Plan
    times: StepTimes
    epochs: int

    @property
    def enough(self) -> bool:
        """Whether it is worth beginning."""
        return self.epochs >= self.plan.least


def largest_that_fits(
    plans: Sequence[Plan], timed: Callable[[Plan], StepTimes], within: Callable[[StepTimes], int]
) -> Fit:
    """Return the first of one network's plans of which there are epochs enough, or the last one.

    The last one, which is the cheapest, is timed first, then from the first one on those that are likely to fit. The
    time of a step grows with the pixels of the input: in proportion, as far as one size was timed, and then along the
    line through the two largest ones, as a part of it is the same for all sizes.

    Args:
        plans: of one network, each with a smaller input than the one before.
        timed: returns the times of a plan by trying it.
        within: returns how many epochs of such times there are.
    """

    def tried(plan: Plan) -> Fit:
        times = timed(plan)
        return Fit(plan, times, min(plan.most, within(times)))

    known = {plans[-1].size: tried(plans[-1])}
    best = known[plans[-1].size]
    candidates = list(plans[:-1])
    while best.enough and candidates:
        likely = [plan for plan in candidates if within(_expected(plan.size, known)) >= plan.least]
        if not likely:
            break
        found = known[likely[0].size] = tried(likely[0])
        if found.enough:
            best = found
            candidates = [plan for plan in candidates if plan.size > found.plan.size]
        else:
            candidates = [plan for plan in candidates if plan.size < found.plan.size]
    return best


def _expected(size: int, known: dict[int, Fit]) -> StepTimes:
    """Return the times of another size of the input by those of the sizes that were timed."""
    larger = sorted(known)[-1]
    times = known[larger].times
    if len(known) == 1:
        share = (size / larger) ** 2
        return replace(times, step=times.step * share, image=times.image * share)
    smaller = sorted(known)[-2]
    share = (size**2 - larger**2) / (larger**2 - smaller**2)
    before = known[smaller].times
    step = times.step + share * max(0.0, times.step - before.step)
    return replace(times, step=step, image=times.image + share * max(0.0, times.image - before.image))
