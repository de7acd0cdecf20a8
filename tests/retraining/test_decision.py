import json
from pathlib import Path

import pytest
from entries import entry

from sightline.config.retrain import Retrain
from sightline.operations.retraining.decision import decide, old_champions, record
from sightline.registry.ledger import Ledger


def test_nothing_speaks_for_it() -> None:
    decision = decide([], [], {}, {}, forced=False)
    assert (decision.reasons, decision.runs_stages) == ((), False)
    assert decision.sentence() == "no reason to train: only register runs"


def test_reasons_without_a_change_train_nothing(tmp_path: Path) -> None:
    decision = decide([], [], {"digits": "p = 0.001"}, {"digit": 40.2}, forced=True)
    assert [reason.kind for reason in decision.reasons] == ["drift", "age", "forced"]
    assert [reason.text for reason in decision.reasons][:2] == [
        "digits: p = 0.001",
        "digit: its champion is 40 days old",
    ]
    assert not decision.runs_stages
    assert "training would give the same models" in decision.sentence()
    record(decision, tmp_path)
    record(decide(["digits/b1: 12 samples, 0 quarantined"], ["prepare@digits"], {}, {}, False), tmp_path)
    first, second = map(json.loads, (tmp_path / ".sightline/retrain.jsonl").read_text().splitlines())
    assert (first["runs_stages"], second["runs_stages"]) == (False, True)
    assert second["reasons"][0] == {"kind": "new data", "text": "digits/b1: 12 samples, 0 quarantined"}
    assert second["changed"] == ["prepare@digits"]


def test_a_change_alone_is_reason_enough() -> None:
    changed = [f"train@model-{number}" for number in range(9)]
    decision = decide([], changed, {}, {}, forced=False)
    assert decision.runs_stages
    assert decision.sentence() == "retrain: changed"
    assert decision.reasons[0].text.endswith("train@model-5 and 3 more")


def test_a_champion_is_as_old_as_its_first_promotion(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for line in (
        entry("digit", "promote", "a", None, "2026-01-01"),
        entry("digit", "promote", "b", "a", "2026-02-01"),
        entry("digit", "rollback", "a", "b", "2026-03-01"),
        entry("scene", "promote", "c", None, "2026-03-01"),
        entry("scene", "refuse", "d", "c", "2026-03-02"),
    ):
        ledger.append(line)
    today = "2026-03-11T00:00:00+00:00"
    names = ["digit", "scene", "unknown"]
    assert old_champions(ledger, names, 30, today) == pytest.approx({"digit": 69})
    assert old_champions(ledger, names, 9.5, today) == pytest.approx({"digit": 69, "scene": 10})
    assert old_champions(ledger, names, None, today) == {}


@pytest.mark.parametrize("values", [{"max_age": 0}, {"notify": "no kind"}, {"comit": True}, {"commit": "yes"}])
def test_the_section_is_strict(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Retrain.model_validate(values)
