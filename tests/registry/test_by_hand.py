import subprocess

import pytest
from registry_project import Project
from warm_python import warm_python

from sightline.config import load_params
from sightline.registry.outcomes import last_outcomes
from sightline.registry.registration import promote
from sightline.system.errors import UserError

GOOD, BETTER = range(0, 240, 4), range(0, 80, 4)  # class 0 is missed 60 and 20 times of 400


def sightline(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [warm_python(), "-m", "sightline", *arguments]
    return subprocess.run(command, cwd=project.root, check=False, capture_output=True, text=True)


def by_hand(project: Project, reason: str = "", name: str = "digit") -> str:
    params = load_params(project.root / "params.yaml")
    return promote(name, params, project.root, project.told.append, reason).number


def test_a_refused_model_is_promoted_and_stays(project: Project) -> None:
    project.make("one", BETTER)
    project.register()
    project.make("two", GOOD)
    assert project.register()[0].decision == "refuse"
    assert by_hand(project, "its errors\n are cheaper") == "2"
    assert project.aliases() == {"champion": "2"}
    line = project.ledger()[-1]
    assert (line["decision"], line["reason"]) == ("promote", "by hand: its errors are cheaper")
    assert (line["champion_md5"], line["gain"]) == (project.ledger()[0]["model_md5"], None)
    tags = project.client().get_model_version("digit", "2").tags
    assert (tags["gate.decision"], tags["gate.reason"]) == ("promote", "by hand: its errors are cheaper")
    [seen] = last_outcomes(project.root)
    assert (seen.alias, seen.decision, seen.reason) == ("champion", "promote", "by hand: its errors are cheaper")
    [outcome] = project.register()
    assert (outcome.alias, outcome.decision, outcome.word) == ("champion", "kept", "promoted")
    with pytest.raises(UserError, match="champion already"):
        by_hand(project)


def test_a_decision_by_hand_outlasts_that_of_the_gate(project: Project) -> None:
    for weights, wrong in (("one", GOOD), ("two", BETTER), ("one", GOOD)):
        project.make(weights, wrong)
        project.register()
    assert by_hand(project) == "1"
    project.make("two", BETTER)  # judged better than "one" before, and then replaced by hand
    [outcome] = project.register()
    assert (outcome.alias, outcome.decision, outcome.word) == ("challenger", "kept", "replaced")
    assert outcome.decision_text() == outcome.reason
    assert outcome.reason == f"replaced by {project.ledger()[0]['model_md5'][:8]}: by hand: no reason given"
    assert project.aliases() == {"champion": "1", "challenger": "2"}
    assert [line["decision"] for line in project.ledger()] == ["promote", "promote", "refuse", "promote"]


def test_a_model_that_was_rolled_back_is_promoted_again(project: Project) -> None:
    for weights, wrong in (("one", GOOD), ("two", BETTER)):
        project.make(weights, wrong)
        project.register()
    done = sightline(project, "rollback", "digit")
    assert (done.returncode, done.stderr) == (0, "")
    assert "version 1 is champion" in done.stdout
    assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == ["  before: version 2", "  now: version 1"]
    shown = sightline(project, "models")
    assert "v2 challenger  rolled back: by hand" in shown.stdout, shown.stderr
    assert project.register()[0].reason.startswith("rolled back by hand from ")
    assert project.client().get_model_version("digit", "2").tags["gate.decision"] == "rollback"
    done = sightline(project, "promote", "digit", "--reason", "the camera is mended")
    assert done.returncode == 0, done.stderr
    told, before, after = done.stdout.splitlines()
    assert told == "digit: promoted by hand: the camera is mended: version 2 is champion"
    first, second = (line["model_md5"][:8] for line in project.ledger()[:2])
    today = project.ledger()[0]["time"][:10]
    assert before == f"  before: version 1, {first}, accuracy 0.850 [0.830, 0.870], first judged {today}"
    assert after == f"  now: version 2, {second}, accuracy 0.950 [0.930, 0.970], first judged {today}"
    assert project.aliases() == {"champion": "2"}
    assert "v2 champion  promoted: by hand" in sightline(project, "models").stdout
    assert [line["decision"] for line in project.ledger()] == ["promote", "promote", "rollback", "promote"]
    assert sightline(project, "rollback", "digit").returncode == 0
    assert project.aliases() == {"champion": "1"}


def test_the_first_model_can_be_promoted_by_hand(project: Project) -> None:
    project.make("one", GOOD)
    assert by_hand(project) == "1"
    assert project.ledger()[0]["reason"] == "by hand: no reason given"
    assert project.register()[0].reason == "by hand: no reason given"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["promote", "digt"], "models.digt: no such entry (did you mean digit?)"),
        (["rollback", "digt"], "models.digt: no such entry (did you mean digit?)"),
        (["promote", "digit"], "release/digit.json: no such file; run `dvc repro` to make it"),
        (["rollback", "digit"], "digit: no earlier champion to roll back to"),
    ],
)
def test_mistakes_are_one_line(project: Project, arguments: list[str], told: str) -> None:
    done = sightline(project, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.rstrip("\n").endswith(told)
    assert len(done.stderr.splitlines()) == 1


def test_models_before_anything_is_registered(project: Project) -> None:
    done = sightline(project, "models")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no model is registered yet; `dvc repro`")


def test_the_table_fits_120_characters(project: Project) -> None:
    project.make("one", BETTER)
    project.register()
    project.make("two", GOOD)
    project.register()
    lines = sightline(project, "models").stdout.splitlines()
    assert lines[0].split() == ["model", "task", "test", "score", "[interval]", "version", "decision"]
    first = "digit classification accuracy 0.950 [0.930, 0.970] v1 champion promoted: first version"
    assert " ".join(lines[1].split()) == first
    assert lines[2].split("  ")[2].startswith("accuracy 0.850 [0.830, 0.870]")
    assert "v2 challenger  refused: worse" in lines[2]
    assert max(map(len, lines)) <= 120
    assert project.register()[0].decision == "kept"
    assert sightline(project, "models").stdout.splitlines() == lines, "the same words after another run"
