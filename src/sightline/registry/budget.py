"""What a model takes where it is registered, against its budget: a model directory in, a check per limit out."""

from __future__ import annotations

from pathlib import Path

from sightline.config.evaluation import Budget
from sightline.registry.grounds import BudgetCheck
from sightline.system.errors import UserError


def limits_of(budget: Budget | None) -> dict[str, float]:
    """Return the limits of a budget by what they limit."""
    if budget is None:
        return {}
    limits = {"latency_ms": budget.latency_ms, "size_mb": budget.size_mb}
    return {name: limit for name, limit in limits.items() if limit is not None}


def budget_checks(model: Path, prepared: Path, budget: Budget | None) -> tuple[BudgetCheck, ...]:
    """Measure what a budget limits.

    Args:
        model: the model directory.
        prepared: folder of its data set, whose first validation image it is timed with.
        budget: of the model; None: there is none.
    """
    limits = limits_of(budget)
    if budget is None or not limits:
        return ()
    from sightline.evaluation.latency import model_latency, network_bytes, some_images  # torch takes seconds

    measures = {
        "latency_ms": lambda: (
            model_latency(model, some_images(prepared, 1), budget.engine, budget.threads).typical * 1e3
        ),
        "size_mb": lambda: network_bytes(model, budget.engine) / 1e6,
    }
    checks = []
    for name, limit in limits.items():
        try:
            value, why = float(f"{measures[name]():.4g}"), ""
        except UserError as error:
            value, why = None, error.lines[0]
        checks.append(
            BudgetCheck(limits=name, bound=limit, value=value, engine=budget.engine, threads=budget.threads, why=why)
        )
    return tuple(checks)
