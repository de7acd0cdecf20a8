"""`evaluation:` and `gate:` how models are measured, and when one replaces another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.config.base import Fraction, Name, PositiveInt, Section
from sightline.config.metrics import can_measure, known_metrics, unknown_metric
from sightline.system.errors import nearest

_Metric = Annotated[str, Field(min_length=1)]
_Bound = Annotated[float, Field(ge=-1e9, le=1e9)]


class Evaluation(Section):
    """Intervals come from resampling the test images with replacement."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = Field(
        2000, description="bootstrap resamples of the test images, for the intervals"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="confidence level of the intervals")
    calibration_bins: Annotated[int, Field(ge=2, le=100)] = Field(
        15, description="number of confidence bins of the calibration error"
    )
    batch_size: PositiveInt = Field(64, description="images per batch")
    slices: Literal["auto"] | list[Annotated[str, Field(min_length=1)]] = Field(
        "auto", description="columns to slice the test images by, e.g. [photograph]; auto: all that are suitable"
    )
    slices_file: Annotated[str, Field(pattern=r"^[^/\\\\]+\.csv$")] | None = Field(
        None, description="a CSV file in data/slices with a column id or source, and other columns to slice by"
    )
    headline: dict[Name, _Metric] = Field(
        {}, description="headline metric by model; default: the one of the kind of task"
    )

    def of(self, name: str) -> Evaluation:
        """Return what concerns one model, so that the headline of another one changes nothing for it."""
        own = {name: self.headline[name]} if name in self.headline else {}
        return self.model_copy(update={"headline": own})


class Budget(Section):
    """What one model may take where it is used; measured when it is registered, on that machine."""

    latency_ms: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="milliseconds for one image, a median; null: any time"
    )
    size_mb: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="megabytes (1e6 bytes) of the file with the network; null: any size"
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(1, description="threads that compute")
    engine: Literal["auto", "torch", "onnx", "int8"] = Field(
        "auto", description="what runs it. auto: ONNX Runtime where there is a model.onnx; int8: model.int8.onnx"
    )

    @model_validator(mode="after")
    def _limits(self) -> Budget:
        if self.latency_ms is None and self.size_mb is None:
            raise ValueError("limits nothing; give latency_ms, size_mb or both")
        return self


class Gate(Section):
    """A challenger becomes champion when the interval of its gain is above `min_gain` and no class loses too much."""

    min_gain: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="smallest gain in the headline metric")
    max_class_drop: Fraction = Field(0.05, description="largest loss of recall allowed in any class")
    min_class_samples: PositiveInt = Field(20, description="classes with fewer test samples cannot veto")
    withdraw_batches: Literal["worse", "refused"] = Field(
        "worse",
        description="worse: withdraw new batches when a model trained with them is measurably worse; refused: "
        "whenever such a model is refused, even if the difference is within noise",
    )
    guards: dict[str, _Bound | dict[_Metric, _Bound]] = Field(
        {},
        description="METRIC: the value to reach on the test split, for every model that has this metric; "
        "or NAME: {METRIC: ...} for one model; for errors such as mae, the largest value",
    )
    budget: dict[Name, Budget] = Field(
        {}, description="NAME: {latency_ms: 20, size_mb: 10, threads: 1}: what a new champion of that name may take"
    )

    def guards_of(self, name: str) -> dict[str, float]:
        """Return the guards that are written for one model by its name."""
        own = self.guards.get(name)
        return dict(own) if isinstance(own, dict) else {}

    def common_guards(self) -> dict[str, float]:
        """Return the guards of every model that has their metric."""
        return {metric: bound for metric, bound in self.guards.items() if not isinstance(bound, dict)}


def find_metric_mistakes(kinds: Mapping[str, str], evaluation: Evaluation, gate: Gate) -> Iterator[str]:
    """Yield a line per name or metric that is not there; without the file's name.

    Args:
        kinds: the kind of task of each model and head.
        evaluation: the section; its `headline` is checked.
        gate: the section; its `guards` and `budget` are checked.
    """
    chosen = [(f"evaluation.headline.{name}", name, [metric]) for name, metric in evaluation.headline.items()]
    chosen += [
        (f"gate.guards.{name}", name, list(gate.guards_of(name)))
        for name, guard in gate.guards.items()
        if isinstance(guard, dict)
    ]
    chosen += [(f"gate.budget.{name}", name, []) for name in gate.budget]
    for path, name, metrics in chosen:
        if name not in kinds:
            there = f" (there are {', '.join(kinds)})"
            yield f"{path}: no such model or head{nearest(name, kinds, there)}"
            continue
        for metric in metrics:
            if not can_measure(kinds[name], metric):
                yield f"{path}: {unknown_metric(metric, known_metrics(kinds[name]))}"
    for metric in gate.common_guards():
        if not any(can_measure(kind, metric) for kind in kinds.values()):
            known = list(dict.fromkeys(other for kind in kinds.values() for other in known_metrics(kind)))
            yield f"gate.guards.{metric}: {unknown_metric(metric, known)}"
