"""A tiny project with a data set of two classes of images, and deliveries to its inbox."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raw_folders import png, write_folder

from sightline.config import Params
from sightline.data.raw.formats import open_source
from sightline.operations.ingest import Batch, ingest

MODEL = {
    "task": {"kind": "classification", "architecture": "mlp"},
    "weights": "random",
    "input": {"size": 8, "channels": 1},
    "augment": "none",
    "optimizer": {"name": "adam", "lr": 0.001},
}


def params_of(**dataset: Any) -> Params:
    values = {"seed": 0, "datasets": {"tiny": dataset}, "trainer": {}, "evaluation": {}}
    return Params.model_validate({**values, "models": {"model": {**MODEL, "dataset": "tiny"}}})


class Site:
    """A project at `root` whose data set `tiny` lies in data/raw/tiny."""

    def __init__(self, root: Path, /, **dataset: Any) -> None:
        self.root = root
        self.raw, self.inbox = root / "data/raw/tiny", root / "data/inbox/tiny"
        self.quarantine = root / "data/inbox/quarantine/tiny"
        self.params = params_of(**{"format": "image_folder", "root": "data/raw/tiny", **dataset})
        self.told: list[str] = []

    def write_first(self) -> None:
        write_folder(self.raw)

    def drop(self, path: str, content: bytes | int) -> None:
        """Put a file, or the image of a number, into the inbox."""
        file = self.inbox / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(content) if isinstance(content, int) else content)

    def ingest(self, datasets: Sequence[str] | None = None) -> list[Batch]:
        return ingest(self.params, self.root, self.told.append, datasets)

    def source(self) -> Any:
        dataset = self.params.datasets["tiny"]
        return open_source(dataset.model_copy(update={"root": str(self.root / dataset.root)}))

    def samples(self) -> dict[str, tuple[str, str]]:
        """Return class and batch of each sample, by its place."""
        source = self.source()
        read = [source.sample(index) for index in range(len(source))]
        return {one.source: (source.labels.classes[one.label], one.batch) for one in read}

    def batches(self) -> list[str]:
        return sorted(path.name for path in (self.raw / ".batches").glob("*"))

    def findings(self, batch: str) -> dict[str, str]:
        with (self.quarantine / batch / "findings.csv").open(newline="") as file:
            return {row["source"]: row["code"] for row in csv.DictReader(file)}

    def record(self) -> list[tuple[str, str]]:
        path = self.root / "registry/batches.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line["batch"], line["decision"]) for line in map(json.loads, lines)]

    def waiting(self) -> list[str]:
        return sorted(str(path.relative_to(self.inbox)) for path in self.inbox.rglob("*") if path.is_file())
