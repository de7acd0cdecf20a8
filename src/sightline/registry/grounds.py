"""Why a model was promoted or refused: a code, its figures, and both in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sightline.config.metrics import smaller_is_better

Code = Literal[
    "first",
    "better",
    "by_hand",
    "equal",
    "within_noise",
    "worse",
    "too_small_gain",
    "class_veto",
    "guard",
    "budget",
    "other_task",
    "other_classes",
    "nothing_shared",
]

# Of a line of the ledger, on the model that it judges or restores.
DECISIONS = {"promote": "promoted", "refuse": "refused", "rollback": "rolled back to"}
WORDS: dict[Code, str] = {
    "first": "first version",
    "better": "better",
    "by_hand": "by hand",
    "equal": "equal",
    "within_noise": "within noise",
    "worse": "worse",
    "too_small_gain": "too small a gain",
    "class_veto": "recall falls",
    "guard": "breaks a guard",
    "budget": "over budget",
    "other_task": "other task",
    "other_classes": "other classes",
    "nothing_shared": "no test sample in common",
}


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ClassLoss(_Figures):
    """Recall of a class under both models, of a class that vetoes; `samples` test samples are of it."""

    name: str
    samples: int
    champion: float
    challenger: float

    @property
    def told(self) -> str:
        """The loss in a few words."""
        return f"{self.name} {self.champion:.3f} to {self.challenger:.3f} on {self.samples:,}"


class GuardCheck(_Figures):
    """What a guarded metric is on the challenger's own test split.

    Attributes:
        metric: its name.
        bound: what it must reach; what it must not exceed, if it is an error.
        value: as measured, null where there is nothing to measure, which holds no guard.
        low, high: of its bootstrap interval, for the uncertainty of the value; null if there is none.
    """

    metric: str
    bound: float
    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the measured value keeps the bound."""
        if self.value is None:
            return False
        return self.value <= self.bound if smaller_is_better(self.metric) else self.value >= self.bound

    @property
    def told(self) -> str:
        """The check in a few words."""
        if self.value is None:
            return f"{self.metric} cannot be measured"
        held, lost = ("at most", "above") if smaller_is_better(self.metric) else ("at least", "below")
        sign = held if self.holds else lost
        edges = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.metric} {self.value:.4f}{edges} {sign} {self.bound:g}"


class BudgetCheck(_Figures):
    """What a model takes, against a limit of `gate.budget`.

    Attributes:
        limits: latency_ms or size_mb.
        bound: what it may take.
        value: as measured on the machine that registered it; null where it could not be, which keeps no budget.
        engine, threads: with which.
        why: it could not be measured.
    """

    limits: str
    bound: float
    value: float | None
    engine: str
    threads: int
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether the measured value keeps the bound."""
        return self.value is not None and self.value <= self.bound

    @property
    def told(self) -> str:
        """The check in a few words."""
        name = {"latency_ms": "latency", "size_mb": "size"}.get(self.limits, self.limits)
        unit = {"latency_ms": "ms", "size_mb": "MB"}.get(self.limits, "")
        if self.value is None:
            return f"{name} cannot be measured: {self.why}"
        with_what = f" with {self.threads} thread{'s' * (self.threads > 1)}" if self.limits == "latency_ms" else ""
        engine = "" if self.engine == "auto" else f", engine {self.engine}"
        return f"{name} {self.value:g} {unit}{with_what}{engine}, {'at most' if self.holds else 'above'} {self.bound:g}"


def over(checks: Sequence[BudgetCheck]) -> list[BudgetCheck]:
    """Return the limits that are exceeded."""
    return [check for check in checks if not check.holds]


def broken(checks: Sequence[GuardCheck]) -> list[GuardCheck]:
    """Return the guards that do not hold."""
    return [check for check in checks if not check.holds]


def gain_text(gain: float, low: float | None, high: float | None, compared: int | None) -> str:
    """Return a gain with its interval and the number of samples it was measured on."""
    edges = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
    return f"{gain:+.3f}{edges}" + ("" if compared is None else f" on {compared:,}")


def short_words(
    code: Code,
    gain: tuple[float | None, float | None, float | None],
    compared: int | None,
    losses: Sequence[ClassLoss],
    guards: Sequence[GuardCheck],
    budget: Sequence[BudgetCheck] = (),
) -> str:
    """Return a code in words with the figures that decided.

    Args:
        code: of the decision.
        gain: of the headline metric, with the ends of its interval; None if nothing was compared.
        compared: samples that both models were judged on.
        losses: of the classes that veto.
        guards: that were checked.
        budget: limits that were checked.
    """
    parts = [WORDS[code]]
    if code == "guard":
        parts += [check.told for check in broken(guards)]
    elif code == "budget":
        parts += [check.told for check in over(budget)]
    elif code == "class_veto" and losses:
        parts += [losses[0].told + (f" and {len(losses) - 1} more" if len(losses) > 1 else "")]
    value, low, high = gain
    if value is not None and code != "equal":
        parts.append(gain_text(value, low, high, compared))
    elif code == "equal" and compared is not None:
        parts.append(f"no difference on {compared:,}")
    return ", ".join(parts)
