"""What a network sees: heat maps, filters, activations, made images; each with a check that can fail."""

from __future__ import annotations

from sightline.evaluation.explain.grad_cam import heat_map
from sightline.evaluation.explain.targets import surest_targets
from sightline.tasks.base import Target

__all__ = ["Target", "heat_map", "surest_targets"]
