"""`models.*.task:` one schema class per kind of task."""

from __future__ import annotations

from sightline.config.tasks.classification import Classification

# With a second kind this becomes Annotated[A | B, Field(discriminator="kind")].
Task = Classification

__all__ = ["Classification", "Task"]
