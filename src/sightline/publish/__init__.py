"""Registers released models and keeps MLflow the projection of what was decided on them."""

from sightline.publish.outcomes import Outcome, last_outcomes
from sightline.publish.registration import log_pages, promote, register, rollback

__all__ = ["Outcome", "last_outcomes", "log_pages", "promote", "register", "rollback"]
