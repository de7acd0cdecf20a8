"""Every value that will be used, as `params.yaml` would say it, with the reason for each that is not written there."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from sightline.config.defaults import missing_of_features, missing_of_model
from sightline.config.errors import described
from sightline.config.params import Params, inherit_trainer
from sightline.config.reader import read_mapping
from sightline.config.trainer import Trainer
from sightline.system.errors import UserError

_WIDTH = 110
_NAMED = ("datasets", "augmentations", "models", "features", "heads", "styles", "explanations", "export", "monitor")
_Path = tuple[str, ...]
_Reasons = Mapping[_Path, str]


def full_text(path: Path, params: Params, only: str | None = None) -> str:
    """Return a params file with all defaults as YAML, each with a comment.

    Args:
        path: the file.
        params: what it says, checked.
        only: name of a data set, model or other entry; the others are left out then.

    Raises:
        UserError: no entry of that name.
    """
    written = read_mapping(path)
    document = _mapping(params, written, (), _reasons(written))
    if only is not None:
        document = _only(document, only, path)
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.representer.add_representer(type(None), lambda one, _: one.represent_scalar("tag:yaml.org,2002:null", "null"))
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _only(document: CommentedMap, name: str, path: Path) -> CommentedMap:
    """Return the entries of a name, in their sections."""
    sections = {key: document[key] for key in _NAMED if isinstance(document.get(key), CommentedMap)}
    for key in list(document):
        if name not in sections.get(key, ()):
            del document[key]
    for section in document.values():
        for other in [one for one in section if one != name]:
            del section[other]
    if not document:
        known = sorted({one for section in sections.values() for one in section})
        raise UserError(f"--only {name}: {path} has no such entry; it has {', '.join(known)}")
    return document


def _reasons(written: Mapping[str, Any]) -> dict[_Path, str]:
    """Return why a value is what it is, for those that depend on others."""
    found: dict[_Path, str] = {}
    for name, section in (inherit_trainer(written).get("models") or {}).items():
        found |= {
            ("models", name, "trainer", key): "from the top-level trainer" for key in written.get("trainer") or {}
        }
        found |= {("models", name, *path): why for path, (_, why) in missing_of_model(section)}
    for name, section in (written.get("features") or {}).items():
        found |= {("features", name, *path): why for path, (_, why) in missing_of_features(section)}
    return found


def _mapping(section: BaseModel | dict[str, Any], written: Any, path: _Path, reasons: _Reasons) -> CommentedMap:
    short = {"kind": written, "name": written, "model": written}  # what a word stands for: task, recipe, detector
    there = short if isinstance(written, str) else written if isinstance(written, dict) else {}
    fields = type(section).model_fields if isinstance(section, BaseModel) else {}
    values = {name: getattr(section, name) for name in fields} if isinstance(section, BaseModel) else section
    made = CommentedMap()
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, BaseModel) or (isinstance(value, dict) and value):
            made[key] = _mapping(value, there.get(key), here, reasons)
            if here in reasons:
                made.yaml_set_comment_before_after_key(key, f"default: {reasons[here]}", indent=2 * len(path))
            continue
        made[key] = _in_one_line(value)
        if key not in there:
            known = isinstance(section, Trainer) and path != ("trainer",)  # explained above
            text = reasons.get(here) or ("" if known or key not in fields else described(fields[key]))
            made.yaml_add_eol_comment(f"default: {text}" if text else "default", key)
    return made


def _in_one_line(value: Any) -> Any:
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    return value
