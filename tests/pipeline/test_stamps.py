"""Stamps: an edit reaches the stages whose outputs it can change, and no other."""

import inspect
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from ruamel.yaml import YAML

import sightline
from sightline.config import Params, load_params
from sightline.config.crop_by import CropBy
from sightline.config.ladder import Ladder
from sightline.pipeline.stamps import HARMLESS, STAGES, STAMPS, archived_stamp, stamps, write_stamps

ROOT = Path(__file__).parents[2]
PACKAGE = Path(sightline.__file__).parent


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(ROOT / "params.yaml", policies=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository's code, to be edited."""
    shutil.copytree(PACKAGE, tmp_path / "sightline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    return tmp_path


def made(params: Params, root: Path) -> dict[str, str]:
    found = stamps(params, root, root / "sightline")
    return {f"{path.parent}@{path.stem}": json.dumps(stamp, sort_keys=True) for path, stamp in found}


def reached(params: Params, root: Path, *edits: tuple[str, str, str]) -> set[str]:
    """Edit files of the package: what is replaced by what; return the stages whose stamps change."""
    before = made(params, root)
    for name, old, new in edits:
        path = root / name
        text = path.read_text()
        assert old in text, f"{name} has no {old}"
        path.write_text(text.replace(old, new, 1))
    after = made(params, root)
    assert before.keys() == after.keys()
    return {stage for stage in before if before[stage] != after[stage]}


def test_nothing_changes_by_itself(params: Params, copy: Path) -> None:
    assert reached(params, copy) == set()


@pytest.mark.parametrize(
    "edit",
    [
        ("sightline/training/fit.py", "import shutil", "# removes folders\nimport shutil"),
        ("sightline/data/images.py", '"""', '"""In other words: '),
        ("sightline/operations/pages/__init__.py", '"""', "WORD = 1\n" + '"""'),
        (
            "sightline/tasks/metrics/classification.py",
            "\n\n\ndef ",
            "\n\n\ndef new_metric(rows):\n    return rows.mean()\n\n\ndef ",
        ),
        ("sightline/registry/tracking/runs.py", "\n\n\ndef ", "\n\n\nNAME = 'runs'\n\n\ndef "),
        ("sightline/data/raw/formats/voc_xml.py", "\n\n\ndef ", "\n\n\nMOST = 3\n\n\ndef "),
    ],
    ids=["comment", "docstring", "page", "metric", "tracking", "format"],
)
def test_what_no_stage_uses_runs_none(edit: tuple[str, str, str], params: Params, copy: Path) -> None:
    assert reached(params, copy, edit) == set()


def test_an_optimizer_that_no_model_has_trains_none(params: Params, copy: Path) -> None:
    lion = (
        'class Lion(_Optimizer):\n    """Signs of momentum."""\n\n    name: Literal["lion"]\n\n\nclass Sgd(_Optimizer)'
    )
    edits = [
        ("sightline/config/optimizers.py", "class Sgd(_Optimizer)", lion),
        ("sightline/training/optimizers.py", "    Sgd,\n", "    Sgd,\n    Lion,\n"),
        (
            "sightline/training/optimizers.py",
            "        case Sgd(lr=lr):",
            "        case Lion():\n            return lion(groups)\n        case Sgd(lr=lr):",
        ),
    ]
    assert reached(params, copy, *edits) == set()


def test_a_changed_optimizer_trains_those_who_have_it(params: Params, copy: Path) -> None:
    edit = (
        "sightline/training/optimizers.py",
        "return torch.optim.Adam(groups, lr,",
        "return torch.optim.Adam(groups, 2 * lr,",
    )
    own = {f"train@{name}" for name, model in params.models.items() if model.optimizer.name == "adam"}
    assert own
    assert reached(params, copy, edit) == own


def test_a_changed_default_reaches_those_who_leave_it_out(params: Params, copy: Path) -> None:
    before = made(params, copy)
    model = params.models["digit-mlp"]
    changed = model.model_copy(update={"input": model.input.model_copy(update={"resize": "crop"})})
    after = made(params.model_copy(update={"models": {**params.models, "digit-mlp": changed}}), copy)
    assert {stage for stage in before if before[stage] != after[stage]} == {"train@digit-mlp"}


def test_the_loss_of_a_task_reaches_its_models_alone(params: Params, copy: Path) -> None:
    edit = ("sightline/tasks/detection.py", "return self.network.loss(", "return 2 * self.network.loss(")
    stages = reached(params, copy, edit)
    detectors = {name for name, kind in params.kinds().items() if kind == "detection"}
    assert {stage.split("@")[1] for stage in stages} == detectors
    assert {f"train@{name}" for name in detectors} <= stages


def test_steps_of_a_training_reach_those_who_take_them(params: Params, copy: Path) -> None:
    """Of all others they are not code, nor are the metrics by which steps are compared."""
    edits = [
        ("sightline/training/ladder/mixture.py", "_TAUGHT = 0.5", "_TAUGHT = 0.6"),
        ("sightline/tasks/metrics/paired.py", "_LEAST = 1e-12", "_LEAST = 1e-11"),
    ]
    name, ladder = "digit-mlp", Ladder(rungs=["fine_tune", "soup", "distill"])
    climbing = params.models[name].model_copy(update={"ladder": ladder})
    both = params.model_copy(update={"models": {**params.models, name: climbing}})
    assert reached(both, copy, edits[0]) == {f"train@{name}"}
    assert reached(both, copy, edits[1]) == {f"train@{name}"}
    back = [(path, new, old) for path, old, new in edits]
    assert reached(params, copy, *back) == set()


def test_code_of_chains_reaches_chains_alone(params: Params, copy: Path) -> None:
    """Cropping is part of no model that sees whole images, and the detector of a chain is a part of the chain."""
    edits = [
        ("sightline/data/crops/geometry.py", "(1 + 2 * margin)", "(1 + 3 * margin)"),
        ("sightline/training/chains.py", 'for split in ("train", "val"):', 'for split in ("val", "train"):'),
        ("sightline/training/artifact/detector.py", 'DETECTOR = "detector"', 'DETECTOR = "finder"'),
        ("sightline/data/crops/store.py", "_BATCH = 32", "_BATCH = 33"),
    ]
    name, crop = "digit-mlp", CropBy(model="scene-detector")
    chained = params.models[name].model_copy(update={"crop_by": crop})
    both = params.model_copy(update={"models": {**params.models, name: chained}})
    assert reached(both, copy, edits[0]) == {f"train@{name}", f"evaluate@{name}"}
    assert reached(both, copy, edits[1]) == {f"train@{name}"}
    assert reached(both, copy, edits[2]) == {f"train@{name}", f"evaluate@{name}"}
    assert reached(both, copy, edits[3]) == {f"train@{name}"}
    back = [(path, new, old) for path, old, new in edits]
    assert reached(params, copy, *back) == set()
    loss = ("sightline/tasks/detection.py", "return self.network.loss(", "return 2 * self.network.loss(")
    assert {f"train@{name}", f"evaluate@{name}"} <= reached(both, copy, loss)


def test_an_extractor_reaches_its_features_alone(params: Params, copy: Path) -> None:
    edit = (
        "sightline/training/features/handmade.py",
        "self.descriptor.compute(image)",
        "self.descriptor.compute(255 - image)",
    )
    assert reached(params, copy, edit) == {"embed@digit-hog", "evaluate@digit-hog-svm"}


def test_each_stage_of_the_pipeline_depends_on_its_stamp() -> None:
    stages: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert next(iter(stages)) == "code"
    for name, stage in stages.items():
        if name not in ("code", "register"):
            own = f"{STAMPS.as_posix()}/{name}/${{key}}.json"
            assert [dep for dep in stage["do"]["deps"] if dep.startswith((".sightline", "src/", "pipelines/"))] == [own]
    assert set(STAGES) == set(stages) - {"code", "register"}


def test_old_stamps_are_kept_for_comparison_as_long_as_a_stage_ran_with_them(params: Params, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    first = write_stamps(tmp_path, params)
    assert len(first) == len(list((tmp_path / STAMPS).rglob("*.json")))
    assert write_stamps(tmp_path, params) == []
    archive = tmp_path / ".sightline/stamps"
    kept = {path.stem for path in archive.iterdir()}
    ran = sorted(kept)[0]
    (tmp_path / "dvc.lock").write_text(f"md5: {ran}\n")
    fewer = params.model_copy(update={"seed": params.seed + 1, "heads": {}})
    assert write_stamps(tmp_path, fewer)
    assert not (tmp_path / STAMPS / "fit_head").exists() or not list((tmp_path / STAMPS / "fit_head").iterdir())
    assert archived_stamp(tmp_path, ran) is not None
    assert len({path.stem for path in archive.iterdir()} & kept) < len(kept)


def test_a_name_that_dvc_cannot_hash_stops_before_dvc_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["code.py"])
    params = {
        **SMALL,
        "datasets": {**SMALL["datasets"], "photos": {"format": "image_folder", "root": "data/raw/photos"}},
    }
    YAML(typ="safe").dump(json.loads(json.dumps(params)), tmp_path / "params.yaml")
    folder = tmp_path / "data/raw/photos/cat"
    folder.mkdir(parents=True)
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))).write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "pipelines/code.py"), run_name="__main__")
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "data/raw/photos/cat/caf\\xe9.png: the name is not UTF-8, which DVC cannot take; "
        "rename it (`convmv -f latin1 -t utf8`)\n"
    )


SMALL: dict[str, Any] = {
    "seed": 1,
    "datasets": {
        "digits": {"format": "digits", "root": "data/embedded"},
        "scenes": {"format": "scenes", "root": "data/embedded", "count": 40, "size": 64},
    },
    "augmentations": {"varied": {"dataset": "scenes", "policy": "light", "copies": 1}},
    "trainer": {"max_epochs": 1, "batch_size": 64, "threads": 1},
    "evaluation": {"resamples": 100},
    "models": {
        "net": {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mnist_cnn"},
            "weights": "random",
            "augment": "light",
            "input": {"size": 28, "channels": 1},
            "optimizer": {"name": "adam"},
        },
        "begun": {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mlp", "hidden": [8]},
            "augment": "none",
            "input": {"size": 8, "channels": 1},
        },
        "finder": {
            "dataset": "scenes",
            "task": {"kind": "detection", "architecture": "fcos", "backbone": "torchvision:resnet18"},
            "weights": "random",
            "augment": "varied",
            "input": {"size": 64},
            "optimizer": {"name": "adamw"},
        },
        "namer": {
            "dataset": "scenes",
            "task": {"kind": "classification", "architecture": "mlp", "hidden": [8]},
            "weights": "random",
            "augment": "none",
            "input": {"size": 8},
            "crop_by": {"model": "finder", "least_score": 0.0},
        },
        "climber": {
            "dataset": "digits",
            "task": {"kind": "classification", "architecture": "mlp", "hidden": [8], "views": "mirror"},
            "weights": {"model": "begun"},
            "augment": "trivial",
            "input": {"size": 8, "channels": 1},
            "ladder": {"rungs": ["head", "fine_tune", "soup", "distill"], "seeds": 2, "resamples": 200},
        },
    },
    "features": {
        "hog": {
            "dataset": "digits",
            "input": {"size": 28, "channels": 1},
            "extractor": {"kind": "hog", "cell": 7},
        },
        "deep": {
            "dataset": "digits",
            "weights": {"model": "net"},
            "extractor": {"kind": "model", "layers": ["dense1"]},
        },
    },
    "heads": {
        "svm": {"dataset": "digits", "features": "hog", "kind": "linear_svm"},
        "near": {"dataset": "digits", "features": "deep", "kind": "nearest_centroid"},
    },
    "export": {"net": {"int8": True, "calibration_images": 8}},
    "explanations": {"net": {"dataset": "digits"}, "namer": {"dataset": "scenes", "methods": ["occlusion"]}},
}


class Watched:
    """Which pieces of the package run."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        is_function = code.co_flags & inspect.CO_OPTIMIZED  # and no body of a class
        if event == "call" and is_function and code not in self.codes and not self._reports(frame):
            self.codes.add(code)

    def _reports(self, frame: FrameType | None) -> bool:
        """Return whether MLflow's side calls: it changes no output."""
        while frame is not None:
            if frame.f_code.co_filename.startswith(f"{PACKAGE / 'registry/tracking'}/"):
                return True
            frame = frame.f_back
        return False

    def pieces(self) -> Iterator[str]:
        for code in self.codes:
            path = Path(code.co_filename)
            if path.is_relative_to(PACKAGE) and not code.co_qualname.startswith("<"):
                parts = ["sightline", *path.relative_to(PACKAGE).with_suffix("").parts]
                module = ".".join(part for part in parts if part != "__init__")
                yield f"{module}.{code.co_qualname.split('.')[0]}"


@pytest.mark.slow
def test_all_code_that_runs_is_in_the_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim that nothing is overlooked, tried by running each stage and watching what it calls."""
    monkeypatch.chdir(tmp_path)
    for name in ("pipelines", "data/embedded", "data/weights", "data/augmented", "data/slices"):
        shutil.copytree(ROOT / name, tmp_path / name)
    YAML(typ="safe").dump(json.loads(json.dumps(SMALL)), tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    params = load_params(tmp_path / "params.yaml")
    write_stamps(tmp_path, params)
    overlooked: dict[str, list[str]] = {}
    for name in STAGES:
        for key in STAGES[name].names(params):
            watched = Watched()
            monkeypatch.setattr(sys, "argv", [f"{name}.py", key])
            path = tmp_path / f"pipelines/{name}.py"
            sys.setprofile(watched)
            try:
                with redirect_stdout(io.StringIO()):
                    runpy.run_path(str(path), run_name="__main__")
            finally:
                sys.setprofile(None)
            code = json.loads((tmp_path / STAMPS / name / f"{key}.json").read_text())["code"]
            unused = () if STAGES[name].measures(params, key) else STAGES[name].idle
            # Warnings look for an attribute in every module that there is.
            idle = ("sightline.__getattr__", "sightline.config.", *(f"{one}." for one in (*HARMLESS, *unused)))
            missing = sorted({one for one in watched.pieces() if one not in code and not one.startswith(idle)})
            assert watched.codes
            if missing:
                overlooked[f"{name}@{key}"] = missing
    assert not overlooked, json.dumps(overlooked, indent=1)
