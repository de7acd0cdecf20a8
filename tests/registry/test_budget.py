"""What a model may take: `gate.budget`, from its measurement to the ledger, and the int8 network in the registry."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registry_project import Project
from test_publish import run_stage

from sightline.config import load_params
from sightline.config.errors import ConfigError
from sightline.config.evaluation import Budget
from sightline.evaluation.latency import ROUNDS, RUNS, WARM_UP, Latency, network_bytes, timed
from sightline.evaluation.predictor import Engine
from sightline.registry.budget import budget_checks
from sightline.registry.grounds import BudgetCheck, over
from sightline.registry.ledger import Ledger
from sightline.registry.release import release
from sightline.registry.resolving import resolve_model
from sightline.system.errors import UserError
from sightline.system.files import write_json
from sightline.training.artifact.int8 import int8_folder

GOOD, BETTER = range(0, 240, 4), range(0, 80, 4)


class Machine:
    """A clock, and calls that take a time: it varies by a fifth, and in bursts other work makes calls 10 times as slow.

    A burst is a fifth of all calls, in one piece, or single calls here and there.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self.now, self.calls = 0.0, 0
        random = np.random.default_rng(seed)
        count = WARM_UP + ROUNDS * RUNS
        times = seconds * np.exp(0.2 * random.standard_normal(count))
        start = random.integers(0, count)
        times[start : start + count // 5] *= 10
        times[random.random(count) < 0.05] *= 10
        self.times = times

    def run(self) -> None:
        self.now += float(self.times[self.calls])
        self.calls += 1


def checked(seconds: float, limit_ms: float, seed: int) -> bool:
    machine = Machine(seconds, seed)
    value = timed(machine.run, lambda: machine.now).typical * 1e3
    return not over([BudgetCheck(limits="latency_ms", bound=limit_ms, value=value, engine="auto", threads=1)])


def test_twice_the_budget_is_always_refused_and_half_of_it_never() -> None:
    assert not any(checked(0.040, 20.0, seed) for seed in range(200))
    assert all(checked(0.010, 20.0, seed) for seed in range(200))


def test_the_protocol() -> None:
    machine = Machine(0.001, 0)
    found = timed(machine.run, lambda: machine.now)
    assert (len(found.rounds), {len(own) for own in found.rounds}) == (ROUNDS, {RUNS})
    assert machine.calls == WARM_UP + ROUNDS * RUNS
    medians = [np.median(machine.times[WARM_UP + RUNS * n : WARM_UP + RUNS * (n + 1)]) for n in range(ROUNDS)]
    assert found.typical == pytest.approx(np.median(medians))
    assert found.quantile(0.5) == pytest.approx(np.median(machine.times[WARM_UP:]))
    slow = Machine(10.0, 0)
    assert {len(own) for own in timed(slow.run, lambda: slow.now).rounds} == {3}  # a slow model is called less often


def rules(project: Project, budget: Any) -> None:
    path = project.root / "params.yaml"
    path.write_text(re.sub(r"gate: .*", f"gate: {json.dumps({'budget': budget} if budget else {})}", path.read_text()))


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the models of these tests take, whose networks are words."""
    told: dict[str, Any] = {"seconds": 0.040, "bytes": 5_000_000, "asked": []}

    def latency(folder: Path, images: list[bytes], engine: str, threads: int) -> Latency:
        told["asked"].append((folder.name, engine, threads))
        return Latency(((told["seconds"],),))

    monkeypatch.setattr("sightline.evaluation.latency.model_latency", latency)
    monkeypatch.setattr("sightline.evaluation.latency.network_bytes", lambda *_: told["bytes"])
    monkeypatch.setattr("sightline.evaluation.latency.some_images", lambda *_: [b""])
    return told


def test_over_budget_is_refused_with_the_measured_value(project: Project, takes: dict[str, Any]) -> None:
    project.make("one", GOOD)
    project.register()
    rules(project, {"digit": {"latency_ms": 20, "size_mb": 10, "threads": 2}})
    project.make("two", BETTER)
    outcome = project.register()[0]
    assert (outcome.decision, outcome.alias) == ("refuse", "challenger")
    assert outcome.reason.startswith(
        "budget: latency 40 ms with 2 threads, above 20; `sightline promote digit` makes it champion anyway; although "
        "it is better: gain +0.1000"
    )
    assert outcome.short.startswith("over budget, latency 40 ms with 2 threads, above 20, +0.100 [")
    entry = Ledger(project.root / "registry/ledger.jsonl").entries[-1]
    assert (entry.code, [check.holds for check in entry.budget]) == ("budget", [False, True])
    assert takes["asked"] == [("digit", "auto", 2)]
    assert "size 5 MB, at most 10" in project.client().get_model_version("digit", "2").tags["gate.budget"]
    (project.root / ".sightline/registry.json").unlink()
    assert project.register()[0].decision == "kept"  # the same question is not asked twice
    rules(project, {"digit": {"latency_ms": 50, "threads": 2}})
    assert project.register()[0].alias == "champion"
    assert project.ledger()[-1]["code"] == "better"


def test_the_first_version_has_a_budget_too(project: Project, takes: dict[str, Any]) -> None:
    rules(project, {"digit": {"size_mb": 2.5}})
    project.make("one", GOOD)
    outcome = project.register()[0]
    assert outcome.reason == "budget: size 5 MB, above 2.5; `sightline promote digit` makes it champion anyway"
    assert project.aliases() == {"challenger": "1"}
    takes["bytes"] = 1_250_000
    rules(project, {"digit": {"size_mb": 2.6}})
    assert project.register()[0].alias == "champion"


def test_what_cannot_be_measured_keeps_no_budget(tmp_path: Path) -> None:
    [check] = budget_checks(tmp_path / "model", tmp_path, Budget(size_mb=1.0, engine="int8"))
    assert not check.holds
    assert check.told.startswith(f"size cannot be measured: {tmp_path}/model.int8/model.int8.onnx: missing")
    assert budget_checks(tmp_path, tmp_path, None) == ()


def test_the_size_is_that_of_the_files_that_an_engine_reads(tmp_path: Path) -> None:
    sizes = {"weights.safetensors": 7, "model.onnx": 5, "model.json": 100, "../head/head.skops": 3}
    sizes |= {"../head/extractor/weights.safetensors": 4, "../head/model.json": 9}
    for file, count in sizes.items():
        (tmp_path / "net" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "net" / file).write_bytes(b"x" * count)
    engines: list[Engine] = ["auto", "onnx", "torch"]
    assert [network_bytes(tmp_path / "net", engine) for engine in engines] == [5, 5, 7]
    assert network_bytes(tmp_path / "head") == 7


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"digt": {"size_mb": 1}}, "gate.budget.digt: no such model or head (did you mean digit?)"),
        ({"digit": {"threads": 1}}, "gate.budget.digit: limits nothing; give latency_ms, size_mb or both"),
        ({"digit": {"size_mb": 0}}, "gate.budget.digit.size_mb"),
        (
            {"digit": {"size_mb": 1, "engine": "int8"}},
            "gate.budget.digit.engine: int8 is not made of digit; set export.",
        ),
        ({"digit": {"latency_ms": 1, "thread": 1}}, "gate.budget.digit.thread: unknown key (did you mean threads?)"),
    ],
)
def test_mistakes_in_a_budget_are_one_line(project: Project, budget: Any, told: str) -> None:
    rules(project, budget)
    with pytest.raises(ConfigError) as error:
        load_params(project.root / "params.yaml")
    assert len(error.value.lines) == 1
    assert told in error.value.lines[0]


def quantised(project: Project, content: bytes) -> None:
    """Add a network in integers to the model in the workspace, and to its release."""
    folder = int8_folder(project.root / "models/digit")
    folder.mkdir(exist_ok=True)
    (folder / "model.int8.onnx").write_bytes(content)
    write_json(folder / "int8.json", {"released": True, "reason": "good", "tries": [1], "bytes": len(content)})
    project.cache(folder)
    (project.root / "release/digit.json").write_text(json.dumps(release("digit", project.root, (), int8=True)))


def test_a_version_has_its_int8_network(project: Project) -> None:
    project.make("one", GOOD)
    with pytest.raises(UserError, match=r"digit\.int8: no such folder; run `dvc repro quantise@digit`"):
        release("digit", project.root, (), int8=True)
    project.register()
    assert not int8_folder(resolve_model("digit@champion", project.root).folder).exists()
    quantised(project, b"integers")
    told = json.loads((project.root / "release/digit.json").read_text())
    assert told["int8"] == {"released": True, "reason": "good", "bytes": 8, "tried": 1}
    assert project.register()[0].decision == "kept"  # the same model, now with integers
    found = resolve_model("digit@champion", project.root)
    assert (int8_folder(found.folder) / "model.int8.onnx").read_bytes() == b"integers"
    refused = {"released": False, "reason": "it loses too much"}
    write_json(int8_folder(project.root / "models/digit") / "int8.json", refused)
    (project.root / "release/digit.json").write_text(json.dumps(release("digit", project.root, (), int8=True)))
    assert project.register()[0].decision == "kept"  # integers that no longer keep the bound are taken back
    assert not int8_folder(resolve_model("digit@champion", project.root).folder).exists()
    project.make("two", BETTER)
    quantised(project, b"others")
    assert project.register()[0].alias == "champion"
    released = json.loads((project.root / "release/digit.json").read_text())
    assert project.ledger()[-1]["int8_md5"] == released["int8_md5"] != told["int8_md5"]
    found = resolve_model("digit@champion", project.root)
    assert (int8_folder(found.folder) / "model.int8.onnx").read_bytes() == b"others"


@pytest.mark.slow
def test_a_lost_database_gets_the_int8_networks_back(project: Project) -> None:
    project.make("one", BETTER)
    quantised(project, b"integers")
    project.register()
    project.make("two", GOOD)
    project.register()
    (project.root / "mlflow.db").unlink()
    shutil.rmtree(project.root / "mlartifacts")
    shutil.rmtree(project.root / ".sightline")
    done = run_stage(project.root)  # a process of its own, as this one has the lost database open
    assert done.returncode == 0, done.stderr
    assert "digit: version 2 has model.int8.onnx" in done.stdout
    [files] = (project.root / "mlartifacts").rglob("int8/model.int8.onnx")
    assert files.read_bytes() == b"integers"
