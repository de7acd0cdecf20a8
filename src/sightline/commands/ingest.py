"""`sightline ingest`: new files into the data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ingest(
    datasets: Annotated[list[str] | None, typer.Argument(help="data sets of params.yaml; default: all")] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="only withdraw the batches that the newest refusals blame")
    ] = False,
) -> None:
    """Check the files in data/inbox/DATASET and add them to the data set; bad ones go to data/inbox/quarantine."""
    from sightline.config import load_params
    from sightline.operations.ingest import ingest as take
    from sightline.operations.ingest import withdraw_refused
    from sightline.system.words import count_of

    params = load_params(Path("params.yaml"), policies=False)
    if withdraw:
        if not withdraw_refused(params, Path(), print):
            print("no batch is blamed by the newest decision on a model")
        return
    batches = take(params, Path(), print, datasets or None)
    added = sum(batch.samples for batch in batches)
    bad = sum(batch.quarantined for batch in batches)
    more = f", {count_of(bad, 'bad sample')} in quarantine" if bad else ""
    print(f"{count_of(added, 'image')} added{more}{'; `dvc repro` trains with them' if added else ''}")
