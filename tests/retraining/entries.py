"""Lines of a ledger."""

from typing import Any

from sightline.registry.ledger import Entry


def entry(
    name: str, decision: Any, model: str, before: str | None, date: str, value: float = 0.9, reason: str = "better"
) -> Entry:
    """Return a decision; `model` and `before` are hexadecimal digits."""
    return Entry(
        time=f"{date}T00:00:00+00:00",
        name=name,
        decision=decision,
        model_md5=f"{model * 32}.dir",
        training_md5=f"{model * 32}.dir",
        evaluation_md5=f"{model * 32}.dir",
        champion_md5=f"{before * 32}.dir" if before else None,
        reason=reason,
        test_ids="0" * 64,
        headline={"name": "accuracy", "value": value, "low": value - 0.02, "high": min(value + 0.02, 1)},
        promotions_on_test_set=0,
    )
