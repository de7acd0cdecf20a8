"""Registers released models and keeps MLflow the projection of what was decided on them."""

from sightline.publish.outcomes import Outcome, last_outcomes
from sightline.publish.registration import log_pages, promote, register, rollback
from sightline.publish.resolving import ResolvedModel, champion_version, resolve_model

__all__ = [
    "Outcome",
    "ResolvedModel",
    "champion_version",
    "last_outcomes",
    "log_pages",
    "promote",
    "register",
    "resolve_model",
    "rollback",
]
