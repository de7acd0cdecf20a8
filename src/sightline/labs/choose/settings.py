"""Candidates as settings of a model in params.yaml: what is written for each, and what that means in the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML

from sightline.config import Params
from sightline.config.models import Model
from sightline.config.optimizers import Evolution, NaturalEvolution
from sightline.labs.choose.space import Candidate
from sightline.labs.start.chooser import checked
from sightline.labs.tuning.write import changed_text
from sightline.system.errors import UserError


@dataclass(frozen=True)
class Settings:
    """One model of a text of params.yaml.

    Attributes:
        text: of the file.
        name: of the model.
    """

    text: str
    name: str

    @cached_property
    def params(self) -> Params:
        """What the text says."""
        return checked(self.text)

    @property
    def model(self) -> Model:
        """The model's section, complete."""
        return self.params.model(self.name)

    @cached_property
    def written(self) -> dict[str, Any]:
        """The model's section as it is written, empty where there is none."""
        document = YAML(typ="safe", pure=True).load(self.text) or {}
        return dict((document.get("models") or {}).get(self.name) or {})

    def changes(self, candidate: Candidate, most_epochs: int | None = None) -> dict[str, Any]:
        """Return what is to be written for a candidate, by dotted path below the model.

        Trainings of a search end with the last epoch: to choose an epoch by validation would be to choose it on the
        images that are to report, too.

        Args:
            candidate: the settings.
            most_epochs: that there is time for; None: as many as recipe or section say.

        Raises:
            UserError: settings that contradict each other.
        """
        own = self.model
        found: dict[str, Any] = {}
        if candidate.recipe is not None and (own.recipe is None or candidate.recipe != own.recipe.name):
            in_parts = isinstance(self.written.get("recipe"), Mapping)  # with `mirror`, which stays
            found["recipe.name" if in_parts else "recipe"] = candidate.recipe
        if candidate.network != own.trunk():
            found |= self._with_network(candidate.network)
        if candidate.size != own.input.size:
            found["input.size"] = candidate.size
        resolved = self._resolved(found)
        if resolved.trainer.keep != "last":
            found["trainer.keep"] = "last"
        if resolved.trainer.early_stopping is not None:
            found["trainer.early_stopping"] = None
        if most_epochs is not None and resolved.trainer.max_epochs > most_epochs:
            found["trainer.max_epochs"] = most_epochs
        if candidate.rate != 1:
            found |= self._with_rate(self._resolved(found), candidate.rate)
        return found

    def _with_network(self, network: str) -> dict[str, Any]:
        key = "backbone" if getattr(self.model.task, "backbone", None) else "architecture"
        task = self.written["task"]
        if isinstance(task, Mapping):
            return {f"task.{key}": network}
        return {"task": {"kind": task, key: network}}

    def _with_rate(self, resolved: Model, factor: float) -> dict[str, Any]:
        """Return another learning rate; without an optimizer in the section it takes the whole one of the recipe."""
        assert not isinstance(resolved.optimizer, Evolution | NaturalEvolution)  # whose rates are not varied
        rate = float(f"{resolved.optimizer.lr * factor:.3g}")
        if isinstance(self.written.get("optimizer"), Mapping):
            return {"optimizer.lr": rate}
        found = {"optimizer": {**resolved.optimizer.model_dump(exclude_defaults=True), "lr": rate}}
        found["optimizer"]["name"] = resolved.optimizer.name
        if "schedule" not in self.written:
            found["schedule"] = {**resolved.schedule.model_dump(exclude_defaults=True), "name": resolved.schedule.name}
        return found

    def _resolved(self, changes: Mapping[str, Any]) -> Model:
        return checked(self._changed(changes)).model(self.name)

    def _changed(self, changes: Mapping[str, Any]) -> str:
        return changed_text(self.text, self.name, changes, "params.yaml")

    def of(self, candidate: Candidate, most_epochs: int | None = None) -> Settings:
        """Return the same model with a candidate's settings.

        Raises:
            UserError: settings that contradict each other.
        """
        made = Settings(self._changed(self.changes(candidate, most_epochs)), self.name)
        made.model  # noqa: B018  # is checked
        return made

    def key(self, context: str) -> str:
        """Return what identifies the result of training this model.

        Args:
            context: a hash of all else that decides it.
        """
        whole = {"model": self.model.model_dump(mode="json"), "seed": self.params.seed_of(self.name), "of": context}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def possible(settings: Settings, candidate: Candidate, most_epochs: int | None = None) -> Settings | None:
    """Return the settings of a candidate, None if they contradict each other."""
    try:
        return settings.of(candidate, most_epochs)
    except UserError:
        return None
