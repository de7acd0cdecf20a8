"""Tells what a retraining did: decision, stages and outcomes in, Markdown with small pictures inside out."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from sightline.operations.retraining.decision import Decision
from sightline.registry.outcomes import Outcome

_WIDTH = 560  # pixels of a picture at most; Prefect keeps the page in its database
_MOST_PICTURES = 6


@dataclass
class Story:
    """What has happened so far in one run."""

    decision: Decision | None = None
    outcomes: Sequence[Outcome] = ()
    withdrawn: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    def news(self) -> str:
        """Return what is worth a message, a line each; "" if nothing happened."""
        lines = [f"{o.name}: {o.decision_text()}" for o in self.outcomes if o.decision != "kept"]
        return "\n".join([*lines, *(f"withdrawn: {line}" for line in self.withdrawn)])


def decision_table(decision: Decision) -> list[dict[str, str]]:
    """Return the decision as rows of a table."""
    rows = [{"reason": reason.kind, "what": reason.text} for reason in decision.reasons]
    return [*rows, {"reason": "decision", "what": decision.sentence()}]


def models_text(outcomes: Sequence[Outcome]) -> str:
    """Return the headline metric and the gate's decision of each model, and of its champion, as a Markdown table."""
    lines = ["| model | task | test score [interval] | version | decision |", "|---|---|---|---|---|"]
    for outcome in (one for released in outcomes for one in released.with_champion()):
        version = f"{outcome.place} {outcome.alias}"
        told = _cell(outcome.decision_text())
        lines.append(f"| {outcome.name} | {outcome.task} | {outcome.headline_text()} | {version} | {told} |")
    return "\n".join(lines)


def report_text(story: Story, root: Path) -> str:
    """Return the whole report; pictures of the models that were judged in this run are inside it."""
    parts = ["# Retraining"]
    if story.decision is not None:
        rows = "\n".join(f"| {row['reason']} | {_cell(row['what'])} |" for row in decision_table(story.decision))
        parts += ["## Why", f"| reason | what |\n|---|---|\n{rows}"]
    if story.outcomes:
        parts += ["## Models", models_text(story.outcomes)]
    if story.withdrawn:
        parts += ["## Withdrawn data", "\n".join(f"- {line}" for line in story.withdrawn)]
    if story.notes:
        parts += ["## Also", "\n".join(f"- {note}" for note in story.notes)]
    history = root / "reports" / "history.png"
    if history.is_file():
        parts += ["## Champions over time", _picture(history, "champions over time")]
    judged = [outcome.name for outcome in story.outcomes if outcome.decision != "kept"]
    for name in judged[:_MOST_PICTURES]:
        parts += [f"## {name}", *_pictures(root / "reports" / name, name)]
    return "\n\n".join(parts) + "\n"


def _pictures(reports: Path, name: str) -> list[str]:
    """Return the pictures that say most of a model: what it mixes up, and how its training went."""
    chosen = [reports / "evaluation" / "confusion.png", reports / "training" / "curves.png"]
    shown = [_picture(path, f"{name}: {path.stem}") for path in chosen if path.is_file()]
    return shown or ["(no pictures)"]


def _picture(path: Path, title: str) -> str:
    """Return a PNG file, made small, as a Markdown picture that holds its bytes."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((_WIDTH, 2 * _WIDTH))
    buffer = io.BytesIO()
    small.quantize(64).save(buffer, "PNG", optimize=True)  # figures have few colours
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
