import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sightline.registry.grounds import GuardCheck
from sightline.registry.ledger import Entry, Ledger, now
from sightline.system.errors import UserError


def entry(model: str, champion: str | None = None, decision: str = "promote", **other: Any) -> Entry:
    values: dict[str, Any] = {
        "time": now(),
        "name": "digit",
        "decision": decision,
        "model_md5": model * 32 + ".dir",
        "training_md5": "e" * 32 + ".dir",
        "evaluation_md5": "f" * 32 + ".dir",
        "champion_md5": champion and champion * 32 + ".dir",
        "reason": "better",
        "test_ids": "0" * 64,
        "headline": {"name": "accuracy", "value": 0.9},
        "promotions_on_test_set": 0,
    }
    return Entry(**(values | other))


def md5(letter: str) -> str:
    return letter * 32 + ".dir"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "registry" / "ledger.jsonl")


def champion(ledger: Ledger) -> str | None:
    found = ledger.champion_of("digit")
    return found.model_md5[0] if found else None


def test_what_is_appended_is_read_again(ledger: Ledger) -> None:
    assert champion(ledger) is None
    ledger.append(entry("a"))
    first = ledger.path.read_bytes()
    ledger.append(entry("b", "a", "refuse", gain=-0.1, low=-0.2, high=0.0))
    ledger.append(entry("c", None, name="other"))
    assert ledger.path.read_bytes().startswith(first)
    assert Ledger(ledger.path).entries == ledger.entries
    assert champion(ledger) == "a"


def test_rollbacks_walk_back_the_line_of_champions(ledger: Ledger) -> None:
    for letter, before in (("a", None), ("b", "a"), ("c", "b")):
        ledger.append(entry(letter, before))
    assert champion(ledger) == "c"
    ledger.append(entry("b", "c", "rollback"))
    assert [one.model_md5[0] for one in ledger.champions_of("digit")] == ["a", "b"]
    ledger.append(entry("a", "b", "rollback"))
    assert [one.model_md5[0] for one in ledger.champions_of("digit")] == ["a"]
    assert ledger.judgement("digit", md5("c"), md5("a"), "1" * 64) is not None, "rolled back: stays out"


def test_a_model_promoted_again_after_a_rollback_is_free(ledger: Ledger) -> None:
    ledger.append(entry("a"))
    ledger.append(entry("b", "a"))
    ledger.append(entry("a", "b", "rollback"))
    ledger.append(entry("b", "a", reason="by hand: it was the camera"))
    assert ledger.reason("digit", md5("b")) == "by hand: it was the camera"
    assert ledger.reason("digit", md5("a")) == "replaced by bbbbbbbb: by hand: it was the camera"
    ledger.append(entry("c", "b"))
    assert ledger.judgement("digit", md5("b"), md5("c"), "0" * 64) is None
    assert ledger.reason("digit", md5("d")) == "not judged"


def test_nothing_is_judged_twice(ledger: Ledger) -> None:
    ledger.append(entry("a"))
    ledger.append(entry("b", "a", "refuse"))
    assert ledger.judgement("digit", md5("b"), md5("a"), "0" * 64) is not None
    assert ledger.judgement("digit", md5("b"), md5("a"), "1" * 64) is None
    assert ledger.judgement("digit", md5("c"), md5("a"), "0" * 64) is None
    assert ledger.judgement("other", md5("b"), md5("a"), "0" * 64) is None
    assert ledger.promotions("digit", "0" * 64) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"name": 1}', "line 2: time: Field required"),
        ("<<<<<<< HEAD", "line 2: Invalid JSON"),
        ("", "line 2: Invalid JSON"),
        (entry("a").model_dump_json().replace("promote", "perhaps"), "line 2: decision"),
        (
            entry("a").model_dump_json().replace("+00:00", "+01:00"),
            "line 2: time: Value error, must be an ISO time in UTC",
        ),
        (entry("a").model_dump_json().replace("a" * 32, "a" * 31), "line 2: model_md5"),
    ],
    ids=["field", "conflict", "empty", "decision", "time", "hash"],  # a line holds the time of its process
)
def test_a_damaged_line_is_named(ledger: Ledger, line: str, told: str) -> None:
    ledger.append(entry("a"))
    with ledger.path.open("a") as file:
        file.write(line + "\n" + entry("b").model_dump_json() + "\n")
    with pytest.raises(UserError) as error:
        Ledger(ledger.path)
    assert told in error.value.lines[0]
    assert "git" in error.value.lines[-1]


def test_lines_older_than_codes_are_read_and_keep_their_hash(ledger: Ledger) -> None:
    """A shared server keeps the hash of the newest decision: new fields with defaults must not change it."""
    new = ("code", "losses", "guards")
    line = json.dumps(
        {name: value for name, value in json.loads(entry("a").model_dump_json()).items() if name not in new}
    )
    ledger.path.parent.mkdir()
    ledger.path.write_text(line + "\n")
    read = Ledger(ledger.path)
    assert (read.entries[0].code, read.entries[0].short) == (None, "better")
    assert read.head("digit") == hashlib.sha256(line.encode()).hexdigest()
    guard = GuardCheck(metric="recall_of_x", bound=0.9, value=0.8)
    read.append(entry("b", "a", "refuse", code="guard", guards=(guard,), gain=0.1, low=0.05, high=0.2, compared=1000))
    again = Ledger(ledger.path)
    assert again.entries == read.entries
    assert again.entries[1].short == "breaks a guard, recall_of_x 0.8000 below 0.9, +0.100 [+0.050, +0.200] on 1,000"
    assert read.head("digit") == again.head("digit")
    assert again.knows("digit", hashlib.sha256(line.encode()).hexdigest())


def test_an_unfinished_last_line_is_named(ledger: Ledger) -> None:
    ledger.append(entry("a"))
    with ledger.path.open("a") as file:
        file.write(entry("b").model_dump_json()[:40])
    with pytest.raises(UserError, match="line 2: unfinished"):
        Ledger(ledger.path)
