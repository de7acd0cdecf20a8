"""What trials depend on besides a candidate's settings: the stages before the training, the code, the metric."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sightline.labs.choose.halves import SHARE
from sightline.labs.choose.settings import Settings
from sightline.pipeline.stamps import CODE, STAMPS
from sightline.pipeline.store import DvcStore, last_outputs
from sightline.system.errors import UserError
from sightline.system.files import read_json


def stages_before(root: Path, stage: str) -> list[str]:
    """Return the stages whose outputs a stage needs, directly or not, in DVC's order.

    Raises:
        UserError: there is no such stage.
    """
    needs = DvcStore(root).stage_needs()
    if stage not in needs:
        raise UserError(f"dvc.yaml: has no stage {stage}; run `sightline check`, which updates pipelines/dag.yaml")
    found: set[str] = set()
    open_ones = [stage]
    while open_ones:
        more = needs[open_ones.pop()] - found - {CODE}
        found |= more
        open_ones += more
    return [one for one in needs if one in found]


def bring_up_to_date(root: Path, stages: Sequence[str], tell: Callable[[str], None]) -> None:
    """Run the stages before the training, those that have changed.

    Raises:
        UserError: one fails.
    """
    changed = DvcStore(root).stages_to_run() & set(stages)
    if not changed:
        return
    tell(f"first: dvc repro {' '.join(one for one in stages if one in changed)}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # stages say `python`
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *stages]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PATH": path}, check=False)
    if done.returncode:
        raise UserError(f"{', '.join(stages)}: failed, see above")


def context_of(root: Path, settings: Settings, before: Sequence[str], metric: str) -> str:
    """Return a hash of what decides the results besides a candidate's settings: data, code, metric.

    Args:
        root: of the project.
        settings: the model as it is, to which candidates are relative.
        before: stages whose outputs the training needs; of the data set only train and validation split count.
        metric: by which candidates are judged.
    """
    data = {path: md5 for stage in before for path, md5 in (last_outputs(root, stage) or {}).items()}
    prepared = f"data/prepared/{settings.model.dataset}"
    learned = {f"{prepared}/{name}" for name in ("train", "val", "labels.json")}
    data = {path: md5 for path, md5 in data.items() if not path.startswith(f"{prepared}/") or path in learned}
    stamp = root / STAMPS / "train" / f"{settings.name}.json"
    code = read_json(stamp)["code"] if stamp.is_file() else {}
    model = settings.model.model_dump(mode="json")
    whole = {"data": data, "code": code, "metric": metric, "share": SHARE, "model": model}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
