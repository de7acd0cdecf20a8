"""Each stage depends on the code that it imports, less a short list that cannot change its bytes."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from ruamel.yaml import YAML

from sightline.config import load_params

ROOT = Path(__file__).parents[1]

# Why a module that a stage imports may be missing from its deps.
HARMLESS = {
    "sightline": "a version and a docstring",
    "sightline.system.disk": "words of errors",
    "sightline.system.errors": "words of errors",
    "sightline.system.processors": "a number of threads; where it decides the last bits, a model's card holds it",
    "sightline.pipeline.process": "starts a stage",
    "sightline.tracking": "tells MLflow, changes no output",
    "sightline.tracking.connection": "speaks to MLflow",
    "sightline.tracking.pictures": "writes runs",
    "sightline.tracking.limits": "brings values within MLflow's limits",
    "sightline.tracking.live": "follows a training",
    "sightline.tracking.runs": "writes runs",
    "sightline.tracking.versions": "writes versions",
    "sightline.config": "re-exports",
    "sightline.config.base": "checks values; the values themselves are DVC params",
    "sightline.config.errors": "words of errors",
    "sightline.config.monitor": "checks values; nothing is made of it by a stage",
    "sightline.config.params": "checks values",
    "sightline.config.reader": "reads YAML",
    "sightline.config.tasks": "names the kinds",
    "sightline.config.transfer": "checks values",
    "sightline.config.transforms": "checks policies",
    "sightline.config.trials": "checks policies",
    "sightline.config.variation": "checks policies",
}
KINDS = sorted(path.stem for path in (ROOT / "src/sightline/config/tasks").glob("[a-z]*.py"))
TASKS = [f"tasks.{kind}" for kind in KINDS]
# Sections of params.yaml that a stage checks, as it reads the whole file, but does not use.
UNUSED_SECTIONS = {
    "prepare": ["augmentations", "detector", "models", "network", "optimizers", "trainer", "evaluation", *TASKS],
    "augment": ["datasets", "detector", "models", "network", "optimizers", "trainer", "evaluation", *TASKS],
    "train": ["datasets", "evaluation"],
    # A model directory holds every value of its task and input, so defaults do not matter any more.
    "evaluate": ["datasets", "detector", "models", "network", "optimizers", "trainer", *TASKS],
    "embed": [
        "augmentations",
        "datasets",
        "detector",
        "evaluation",
        "heads",
        "network",
        "optimizers",
        "trainer",
        *TASKS,
    ],
    "fit_head": [
        "augmentations",
        "datasets",
        "detector",
        "evaluation",
        "models",
        "network",
        "optimizers",
        "trainer",
        *TASKS,
    ],
    "stylize": [
        "augmentations",
        "datasets",
        "detector",
        "evaluation",
        "features",
        "heads",
        "network",
        "optimizers",
        "trainer",
        *TASKS,
    ],
    "explain": ["datasets", "detector", "models", "network", "optimizers", "trainer", "evaluation", *TASKS],
    "release": ["datasets", "detector", "models", "network", "optimizers", "trainer", "evaluation", *TASKS],
}
for stage in ("prepare", "augment", "train", "evaluate", "explain", "release"):
    UNUSED_SECTIONS[stage] += ["features", "heads"]
for stage in ("evaluate", "explain", "release"):
    UNUSED_SECTIONS[stage] += ["augmentations"]
for stage in set(UNUSED_SECTIONS) - {"stylize"}:
    UNUSED_SECTIONS[stage] += ["styles"]
for stage in set(UNUSED_SECTIONS) - {"evaluate"}:
    UNUSED_SECTIONS[stage] += ["metrics"]  # names that params.yaml may choose
UNUSED_SECTIONS["settings"] = [*UNUSED_SECTIONS["evaluate"]]
for stage in UNUSED_SECTIONS:
    UNUSED_SECTIONS[stage] += ["retrain"]
for stage in set(UNUSED_SECTIONS) - {"explain"}:
    UNUSED_SECTIONS[stage] += ["explanations"]
UNUSED_SECTIONS["evaluate_head"] = UNUSED_SECTIONS["evaluate"]
UNUSED_SECTIONS["release_head"] = UNUSED_SECTIONS["release"]
UNUSED_SECTIONS["settings_head"] = UNUSED_SECTIONS["settings"]
# Packages that a stage imports and does not run.
UNUSED_PACKAGES = {
    "train": ["sightline.metrics"],  # a training takes loss and scores; it measures nothing
    "embed": ["sightline.metrics"],
    "stylize": ["sightline.metrics"],
    "evaluate": ["sightline.features", "sightline.heads"],  # a network is no head
    "explain": ["sightline.metrics"],
}
SCRIPTS = {"evaluate_head": "evaluate", "release_head": "release", "settings_head": "settings"}
STAGES = list(UNUSED_SECTIONS)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("sightline", exclude_type_checking_imports=True)


def path_of(module: str) -> Path:
    path = ROOT / "src" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(script: Path, unused: tuple[str, ...] = ()) -> set[str]:
    """Modules of the package that a script runs, with the packages around them, less what only `unused` ones import."""
    known = graph().modules
    found: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sightline"):
            names = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= {node.module} | names
    waiting = list(found)
    while waiting:
        new = graph().find_modules_directly_imported_by(waiting.pop()) - found
        new = {module for module in new if not (unused and module.startswith(unused))}
        found |= new
        waiting += new
    for module in list(found):
        parts = module.split(".")
        found |= {".".join(parts[:end]) for end in range(1, len(parts))}
    return found


@cache
def stages() -> dict[str, Any]:
    return YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def deps(stage: str, kind: str) -> list[str]:
    found: list[str] = stages()[stage]["do"]["deps"]
    return [dep.replace("${item.task.kind}", kind) for dep in found]


def others(kind: str) -> set[str]:
    """Modules of the kinds of task that a model of `kind` does not use, though its stage imports their names."""
    return {f"sightline.{part}.{other}" for part in ("tasks", "config.tasks") for other in KINDS if other != kind}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_import_closure(stage: str, kind: str) -> None:
    code = [ROOT / dep for dep in deps(stage, kind) if dep.startswith(("src/", "pipelines/"))]
    script = ROOT / f"pipelines/{SCRIPTS.get(stage, stage)}.py"
    assert script in code
    assert all(path.exists() for path in code)
    harmless = set(HARMLESS) | {f"sightline.config.{name}" for name in UNUSED_SECTIONS[stage]}
    used = imported(script, tuple(UNUSED_PACKAGES.get(stage, ()))) - harmless - others(kind)
    needed = {module: path_of(module) for module in used}
    missing = sorted(
        module for module, path in needed.items() if not any(path == dep or dep in path.parents for dep in code)
    )
    assert not missing, f"stage {stage} imports these, add them to its deps in dvc.yaml"
    idle = [dep for dep in code[1:] if not any(path == dep or dep in path.parents for path in needed.values())]
    assert not [dep for dep in idle if dep.parent.name != "pipelines"], "deps that the stage does not import"


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_model_depends_on_its_own_task_only(stage: str) -> None:
    kinds = {path.stem for path in (ROOT / "src/sightline/tasks").glob("*.py")} - {"__init__", "base"}
    assert kinds == set(KINDS)
    whole = [dep for dep in stages()[stage]["do"]["deps"] if dep.startswith("src/sightline/tasks")]
    kind = "${item.task.kind}.py"
    assert set(whole) == {f"src/sightline/tasks/{name}" for name in ("__init__.py", "base.py", kind)}
    assert {model.task.kind for model in load_params(ROOT / "params.yaml").models.values()} <= kinds


@pytest.mark.parametrize("stage", ["train", "fit_head"])
def test_training_does_not_read_the_test_split(stage: str) -> None:
    read = deps(stage, KINDS[0])
    assert not [dep for dep in read if "/test" in dep or dep.endswith("card.json") or dep == "data/prepared"]
    assert "data/features/${item.features}" not in read


@pytest.mark.parametrize("stage", ["train", "fit_head", "evaluate", "evaluate_head"])
def test_the_headline_of_one_model_neither_trains_nor_evaluates_another(stage: str) -> None:
    """`evaluation` as a whole would; `settings@NAME` hands on what concerns one model."""
    assert "evaluation" not in stages()[stage]["do"].get("params", [])
    if stage.startswith("evaluate"):
        assert "reports/${key}/settings.json" in stages()[stage]["do"]["deps"]


def test_only_the_last_stage_has_an_outside_effect() -> None:
    assert [name for name, stage in stages().items() if stage.get("always_changed")] == ["register"]
    assert list(stages())[-1] == "register"
