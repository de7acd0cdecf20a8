"""What became of each batch: a line of `registry/batches.jsonl` per acceptance or refusal, never changed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sightline.registry.ledger import now
from sightline.system.errors import UserError
from sightline.system.files import append_line, new_file

_Text = Annotated[str, Field(min_length=1)]


class Line(BaseModel):
    """One decision on a batch.

    Attributes:
        time: ISO 8601, UTC.
        decision: accept: its good samples became part of the data set; refuse: they were taken out of it again.
        samples, quarantined: taken, and left out as bad.
        reason: why it was refused; empty where it was accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    time: _Text
    dataset: _Text
    batch: _Text
    decision: Literal["accept", "refuse"]
    samples: Annotated[int, Field(ge=0)]
    quarantined: Annotated[int, Field(ge=0)]
    reason: str = ""


class BatchRecord:
    """All decisions on batches of the project at `root`, read and checked at once."""

    def __init__(self, root: Path) -> None:
        self.path = root / "registry" / "batches.jsonl"
        self.lines = _read(self.path)

    def last(self, dataset: str, batch: str) -> Line | None:
        """Return the newest decision on a batch."""
        found = (line for line in reversed(self.lines) if (line.dataset, line.batch) == (dataset, batch))
        return next(found, None)

    def add(
        self,
        dataset: str,
        batch: str,
        decision: Literal["accept", "refuse"],
        samples: int,
        quarantined: int,
        reason: str = "",
    ) -> None:
        """Add a decision unless it is the newest one on its batch already; it survives a power cut."""
        last = self.last(dataset, batch)
        if last is not None and last.decision == decision:
            return
        line = Line(
            time=now(),
            dataset=dataset,
            batch=batch,
            decision=decision,
            samples=samples,
            quarantined=quarantined,
            reason=reason,
        )
        append_line(self.path, line.model_dump_json())
        self.lines.append(line)


def _read(path: Path) -> list[Line]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:  # a line that was being written when the power went; the batch itself has it too
        with new_file(path) as work:
            work.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
    read = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            read.append(Line.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            told = f"{path}: line {number}: {where + ': ' if where else ''}{first['msg']}"
            raise UserError(f"{told}; the record is append-only: restore the line from git") from None
    return read
