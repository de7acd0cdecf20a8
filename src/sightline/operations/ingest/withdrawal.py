"""Takes batches out of a data set again: those by which a refused model became worse."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from sightline.config import Params
from sightline.data.raw.formats.batches import BATCHES, batch_folders, read_manifest
from sightline.operations.ingest.inbox import QUARANTINE
from sightline.operations.ingest.pointer import update_pointer
from sightline.operations.ingest.record import BatchRecord
from sightline.operations.ingest.taking import alone, heal
from sightline.registry.ledger import Ledger
from sightline.system.errors import UserError
from sightline.system.files import new_file, new_folder

Report = Callable[[str], None]


def withdraw(params: Params, root: Path, dataset: str, batches: Sequence[str], reason: str) -> None:
    """Move batches from a data set to `data/inbox/quarantine/DATASET/BATCH`, with the reason next to them.

    Killed in between, it has been done or not; the next call, or the next `ingest`, completes the record.

    Args:
        params: name the root of the data set.
        root: of the project.
        dataset: its name.
        batches: names of batches that are part of it.
        reason: why, in one line.

    Raises:
        UserError: there is no such data set or batch.
    """
    root = root.resolve()
    place = root / params.dataset(dataset).root
    with alone(root):
        heal(dataset, place, root, lambda _: None)
        known = [folder.name for folder in batch_folders(place)]
        unknown = [name for name in batches if name not in known]
        if unknown:
            have = ", ".join(known) or "none"
            raise UserError([f"{dataset}: {name}: no such batch (there are {have})" for name in unknown])
        for name in batches:
            _move(dataset, place / BATCHES / name, root, " ".join(reason.split()))


def _move(dataset: str, folder: Path, root: Path, reason: str) -> None:
    manifest = read_manifest(folder)
    quarantine = root / QUARANTINE / dataset / folder.name
    with new_folder(quarantine / "withdrawn") as new:
        shutil.copytree(folder, new, dirs_exist_ok=True)
    with new_file(quarantine / "reason.txt") as work:
        work.write_text(f"{reason}\n", encoding="utf-8")
    gone = folder.parent / f".{folder.name}.old"
    folder.rename(gone)  # from here on it is not part of the data set
    shutil.rmtree(gone)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
    update_pointer(folder.parent.parent, root)
    BatchRecord(root).add(dataset, folder.name, "refuse", len(manifest.samples), manifest.quarantined, reason)


def withdraw_refused(params: Params, root: Path, report: Report) -> list[str]:
    """Withdraw the batches that the newest decision on each model blames; to be called after `register`.

    Returns:
        What was withdrawn, as DATASET/BATCH.

    Raises:
        UserError: the ledger or a batch is damaged.
    """
    ledger = Ledger(root / "registry" / "ledger.jsonl")
    withdrawn: list[str] = []
    for name in params.registered():
        entries = ledger.of(name)
        if not entries or not entries[-1].blamed_batches:
            continue
        dataset, entry = params.dataset_of(name), entries[-1]
        present = {folder.name for folder in batch_folders(root / params.dataset(dataset).root)}
        blamed = [batch for batch in entry.blamed_batches if batch in present]
        if blamed:
            withdraw(params, root, dataset, blamed, f"{name} {entry.model_md5[:8]} was refused: {entry.reason}")
            withdrawn += [f"{dataset}/{batch}" for batch in blamed]
            for batch in blamed:
                report(f"{dataset}: batch {batch} withdrawn to {QUARANTINE / dataset / batch}: {entry.reason}")
    return withdrawn
