"""The section `retrain` of `params.yaml`: what the flow of that name does besides running the stages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sightline.config.base import Positive, Section


class Retrain(Section):
    """Settings of the flow `retrain`; no stage depends on them."""

    commit: bool = Field(False, description="commit dvc.lock, pointers and ledger on a branch retrain/<date>")
    max_age: Positive | None = Field(None, description="age in days at which a champion is retrained, e.g. 30")
    remote: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="DVC remote to pull from before a run, as in `dvc remote list`"
    )
    push: bool = Field(False, description="push data and models to the DVC remote after a run")
    notify: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")] | None = Field(
        None, description="a notification block of Prefect, kind/name, e.g. custom-webhook/team"
    )
