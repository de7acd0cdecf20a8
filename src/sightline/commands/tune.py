"""`sightline tune`: settings that suit this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline.commands.options import ModelName


def tune(
    name: ModelName,
    seconds: Annotated[float, typer.Option(min=0, help="total time for all timings")] = 60.0,
    batch_size: Annotated[bool, typer.Option("--batch-size", help="also look for the fastest batch size")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="write without asking")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show")] = False,
) -> None:
    """Probe settings of a model on this machine, show them, and write into params.yaml what should change."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.labs.tuning import findings_table, probe, write_changes
    from sightline.training.chains import data_to_learn

    file = Path("params.yaml")
    params = load_params(file)
    model = params.model(name)
    reports = Path("reports", name, "tuning")
    prepared = Path("data/prepared", model.dataset)
    augmentation = params.augmentations.get(model.augment)
    seed = params.seed_of(name)
    with data_to_learn(model, prepared) as data:
        found = probe(model, seed, data, reports, augmentation=augmentation, seconds=seconds, fastest_batch=batch_size)
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(findings_table(found))
    changes = {finding.setting: finding.suggested for finding in found if finding.changed}
    if not changes:
        print(f"{file}: nothing to change")
    elif dry_run:
        print(f"{file}: not changed, because of --dry-run")
    elif not yes and not sys.stdin.isatty():
        print(
            f"{file}: not changed, as there is no terminal to ask for confirmation; `sightline tune {name} "
            f"--yes` writes it"
        )
    elif yes or typer.confirm(f"write into {file}?"):
        write_changes(file, name, changes)
        print(f"{file}: models.{name}: wrote {', '.join(changes)}")
