"""Which model is meant: one of params.yaml by its name, or the network of a data set."""

from __future__ import annotations

from pathlib import Path

from sightline.config import load_params
from sightline.system.errors import UserError, nearest


def model_to_choose(file: Path, name: str) -> str:
    """Return the model that a name of a model or data set means.

    Raises:
        UserError: no such name, a head, or a data set with no network or several.
    """
    params = load_params(file)
    if name in params.models:
        return name
    if name in params.heads:
        raise UserError(f"{name}: is a head, which chooses among its own settings by cross-validation; name a network")
    if name not in params.datasets:
        known = [*params.models, *params.datasets]
        there = f"; there are {', '.join(known)}"
        raise UserError(f"{name}: no model or data set of {file}{nearest(name, known, there)}")
    own = [model for model, one in params.models.items() if one.dataset == name]
    if len(own) == 1:
        return own[0]
    if own:
        raise UserError(f"{name}: has several networks; name one of {', '.join(own)}")
    raise UserError(f"{name}: has no network yet; add one to models of {file}, such as {{dataset: {name}, task: ...}}")
