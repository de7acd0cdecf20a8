"""DVC stage prepare@NAME: raw files of a data set to checked, divided shards in data/prepared/NAME."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from sightline.config import Params
from sightline.data.raw.division import FILE, Division, last_division
from sightline.data.raw.preparation import prepare
from sightline.data.raw.roots import require_roots
from sightline.data.structures import SPLITS
from sightline.pipeline.process import run_stage
from sightline.pipeline.store import DvcStore, last_outputs
from sightline.system.errors import UserError, nearest
from sightline.system.words import count_of


def stage(params: Params, name: str = "") -> None:
    """Prepare one data set of params.yaml and show what it holds."""
    if name not in params.datasets:
        known = ", ".join(params.datasets)
        raise UserError(f"{name!r} is not in datasets of params.yaml{nearest(name, params.datasets, f' ({known})')}")
    require_roots({name: params.datasets[name]})
    folder = Path("data/prepared") / name
    card = prepare(name, params.datasets[name], folder, progress=True, last=_last(name, folder))
    annotations = f", {count_of(card.dropped, 'bad annotation')} too" if card.dropped else ""
    table = Table("images", *SPLITS, title=f"{name}: {count_of(card.quarantined, 'bad sample')} left out{annotations}")
    for label in card.classes:
        table.add_row(label, *(str(card.counts[split][label]) for split in SPLITS))
    table.add_row("all", *(str(card.samples[split]) for split in SPLITS))
    console = Console()
    console.print(table)
    told = ", ".join(f"{found['count']} {code}" for code, found in card.findings.items())
    console.print(f"Findings: {told or 'none'}. See {folder}/report.md", highlight=False)


def _last(name: str, folder: Path) -> Division | None:
    outputs = last_outputs(Path(), f"prepare@{name}")
    md5 = (outputs or {}).get(f"{folder.as_posix()}/{FILE}")
    content = DvcStore(Path()).find_file(md5) if md5 is not None else None
    return last_division(folder, None if md5 is None else (md5, content), ran=outputs is not None)


if __name__ == "__main__":
    run_stage(stage)
