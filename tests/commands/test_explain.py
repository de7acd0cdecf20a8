"""`sightline explain`: what it says of a picture that cannot be believed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sightline.commands.explain import explain
from sightline.evaluation.explain.picture import Check


def test_a_failed_check_is_told_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [Check("deletion", 0.5, 0.4, False, "lost NOT sooner."), Check("insertion", 0.5, 0.4, True, "good.")]
    picture = SimpleNamespace(file="occlusion.png", title="Occlusion", checks=checks)
    monkeypatch.setattr("sightline.evaluation.explain.own_images.explain_images", lambda *_: [picture])
    monkeypatch.setattr("sightline.registry.resolving.resolve_model", lambda *_: SimpleNamespace(folder=Path("m")))
    explain("m", [Path("a.jpg")], Path("seen"))
    assert capsys.readouterr().out.splitlines() == [
        "seen/occlusion.png: Occlusion",
        "  doubtful, check deletion failed (docs/explain.md): lost NOT sooner.",
    ]
