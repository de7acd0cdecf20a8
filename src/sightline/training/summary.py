"""The settings of a training and what came of them, for reports and trackers."""

from __future__ import annotations

from typing import Any

from sightline.config.models import Model
from sightline.training.fit import Fitted


def flat_settings(config: Model, seed: int, fitted: Fitted) -> dict[str, Any]:
    """Return the settings of a training and what came of them, as one level of dotted names."""
    best = next(row for row in fitted.curves if row["epoch"] == fitted.best_epoch)
    values = {
        "seed": seed,
        **config.model_dump(exclude={"seed"}),
        "numerics": {name: getattr(fitted.card, name) for name in ("precision", "channels_last", "threads")},
    }
    flat = _flatten(values)
    return flat | {
        "epochs_run": len(fitted.curves),
        "best_epoch": fitted.best_epoch,
        **{f"best.{name}": value for name, value in best.items() if name.startswith("val_")},
    }


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
