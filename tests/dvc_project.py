"""A copy of the repository in a folder of its own, run by DVC as a user would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ruamel.yaml import YAML
from warm_python import warm_python

from sightline.config import load_params
from sightline.pipeline.dag import write_dag
from sightline.pipeline.process import QUIET
from sightline.system.errors import UserError

ROOT = Path(__file__).parents[1]


def _made(folder: str, names: list[str]) -> list[str]:
    """Return what a run or a user has put beside the files of the repository."""
    made = [name for name in names if name == "__pycache__" or name.endswith(".pth")]
    if Path(folder).name == "augmented":
        made += [name for name in names if (Path(folder) / name).is_dir()]
    return made


class Project:
    """A repository with these params.

    Args:
        root: an empty folder.
        params: the content of params.yaml.
        packages: folders of installed packages beside those of the environment.
        warm: whether its programs begin with the libraries imported (`warm_python`).
    """

    def __init__(self, root: Path, params: object, packages: Sequence[Path] = (), warm: bool = True) -> None:
        self.root = root
        self.path = os.pathsep.join(map(str, (root / "src", *packages)))
        self.python = warm_python() if warm else sys.executable
        for name in (
            "dvc.yaml",
            ".dvcignore",
            ".gitignore",
            "pipelines",
            "src",
            "data/embedded",
            "data/weights",
            "data/augmented",
            "data/slices",
        ):
            source, target = ROOT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=_made)
            else:
                shutil.copy(source, target)
        (root / ".dvc").mkdir()
        shutil.copy(ROOT / ".dvc/config", root / ".dvc/config")
        self.write_params(params)
        self.git("init", "-q")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.org")
        self.commit()

    def write_params(self, params: object) -> None:
        plain = json.loads(json.dumps(params))  # nothing shared, so nothing written as an alias
        YAML(typ="safe").dump(plain, self.root / "params.yaml")
        with suppress(UserError):  # of params that are wrong on purpose
            write_dag(self.root, load_params(self.root / "params.yaml", policies=False))

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "state")

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
        folders = (Path(self.python).parent, Path(sys.executable).parent)
        environment = {
            **kept,
            **QUIET,
            "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
            "PYTHONPATH": self.path,
        }
        return subprocess.run(
            [self.python, "-m", "dvc", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def repro(self) -> list[str]:
        """Run `dvc repro` and return the stages that ran or were restored, less `code`, which always runs."""
        done = self.dvc("repro")
        assert done.returncode == 0, done.stdout + done.stderr
        return [
            line.split("'")[1]
            for line in done.stdout.splitlines()
            if line.startswith(("Running stage", "Stage")) and "didn't change" not in line and "'code'" not in line
        ]

    def aliases(self) -> dict[str, dict[str, int]]:
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        return {model.name: dict(model.aliases) for model in client.search_registered_models()}

    def versions(self, name: str) -> int:
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        return len(client.search_model_versions(f"name='{name}'"))

    def files(self, folder: str) -> dict[str, bytes]:
        return {str(p.relative_to(self.root)): p.read_bytes() for p in (self.root / folder).rglob("*") if p.is_file()}
