"""Takes the inbox into the data sets: all of a delivery or nothing of it, and each image once.

The order of the steps makes it safe to be killed between any two of them: the delivery is copied and checked near the
batches, its bad files go to the quarantine, the rest is moved by one rename, DVC and the record are updated, and only
then is the inbox emptied. The next run sees by their content which images have been taken already.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sightline.config import Params
from sightline.config.datasets import Dataset, Digits, Figures, Idx, Scenes, Strings, Yolo
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats import open_whole
from sightline.data.raw.formats.batches import BATCHES, JoinedSource, Manifest, batch_folders, write_manifest
from sightline.data.raw.formats.source import visible_files
from sightline.data.raw.formats.yolo_names import is_described, names_only
from sightline.operations.ingest.checking import Checked, check_delivery
from sightline.operations.ingest.inbox import (
    INBOX,
    QUARANTINE,
    complete_emptying,
    content_hash,
    copy_inbox,
    empty_inbox,
)
from sightline.operations.ingest.pointer import update_pointer
from sightline.operations.ingest.quarantine import divide_files, quarantine_files
from sightline.operations.ingest.record import BatchRecord
from sightline.system.errors import UserError, nearest
from sightline.system.words import count_of

Report = Callable[[str], None]
_WORK = ".new"  # below the batches; hidden, so no batch


@dataclass(frozen=True)
class Batch:
    """What became of one delivery.

    Attributes:
        name: day and hash of its content, e.g. 20261127-1a2b3c4d.
        samples: images that became part of the data set.
        quarantined: images that are in quarantine.
        known: images that the data set had already, left out.
    """

    dataset: str
    name: str
    samples: int
    quarantined: int
    known: int = 0


def ingest(params: Params, root: Path, report: Report, datasets: Sequence[str] | None = None) -> list[Batch]:
    """Add the files in `data/inbox/DATASET` to the data sets.

    Args:
        params: name format and root of each data set.
        root: of the project.
        report: gets a line per step.
        datasets: those to look at, None for all.

    Returns:
        One batch per delivery of which something was taken or quarantined.

    Raises:
        UserError: after all data sets were tried, with one block of lines for each that failed.
    """
    root, batches, mistakes = root.resolve(), list[Batch](), list[str]()
    for name in datasets or ():
        _require_growing(name, params.dataset(name))
    with alone(root):
        for name in datasets or _delivered(params, root, report):
            place = root / params.datasets[name].root
            dataset = params.datasets[name].model_copy(update={"root": str(place)})
            try:
                heal(name, place, root, report)
                batch = _take(name, dataset, root, report)
                batches += [batch] if batch is not None else []
            except UserError as error:
                mistakes += error.lines
    if mistakes:
        raise UserError(mistakes)
    return batches


def heal(name: str, place: Path, root: Path, report: Report) -> None:
    """Finish what an earlier run was killed in: what is below the raw folder `place` counts."""
    _clear(place, root / QUARANTINE / name)
    complete_emptying(root / INBOX / name)
    record, changed = BatchRecord(root), False
    present = {folder.name: manifest for folder, manifest in batch_folders(place).items()}
    for batch, manifest in present.items():
        last = record.last(name, batch)
        if last is None or last.decision == "refuse":
            update_pointer(place, root)
            record.add(name, batch, "accept", len(manifest.samples), manifest.quarantined)
            changed = True
    for line in list(record.lines):
        reason = root / QUARANTINE / name / line.batch / "reason.txt"
        gone = line.dataset == name and line.batch not in present and reason.is_file()
        if gone and record.last(name, line.batch) == line and line.decision == "accept":
            update_pointer(place, root)
            told = " ".join(reason.read_text(encoding="utf-8").split())
            record.add(name, line.batch, "refuse", line.samples, line.quarantined, told)
            changed = True
    if changed:
        report(f"{name}: {record.path.relative_to(root)} updated to match what an interrupted run had done")


def _clear(place: Path, quarantine: Path) -> None:
    """Remove what killed runs were writing."""
    unfinished = [*quarantine.glob(".*"), *quarantine.glob("*/.*")]  # see `sightline.system.files`
    folders = [path for path in unfinished if path.name.endswith((".new", ".old"))]
    for leftover in [*(place / BATCHES).glob(".*"), *folders]:
        shutil.rmtree(leftover, ignore_errors=True)
    inbox = quarantine.parents[1]
    for leftover in [*quarantine.glob("*/.*.new.txt"), *inbox.glob(f"..{quarantine.name}.*.new.json")]:
        leftover.unlink()


def _delivered(params: Params, root: Path, report: Report) -> list[str]:
    """Return the data sets of `params` that can grow, reporting folders in the inbox that belong to none of them."""
    growing = [name for name, dataset in params.datasets.items() if not _embedded(dataset)]
    for folder in sorted((root / INBOX).glob("*")):
        known = folder.name in growing or folder.name == QUARANTINE.name or folder.name.startswith(".")
        if not known and folder.is_dir() and any(visible_files(folder)):
            hint = nearest(folder.name, growing, f" (there are {', '.join(growing) or 'none'})")
            report(f"{INBOX / folder.name}: ignored: no data set that takes new files has this name{hint}")
    return growing


def _embedded(dataset: Dataset) -> bool:
    return isinstance(dataset, Digits | Scenes | Figures | Strings)


def _require_growing(name: str, dataset: Dataset) -> None:
    if _embedded(dataset):
        raise UserError(f"datasets.{name}.format: {dataset.format} is generated, not read; it does not take new files")


def _take(name: str, dataset: Dataset, root: Path, report: Report) -> Batch | None:
    inbox = root / INBOX / name
    if not inbox.is_dir() or not any(visible_files(inbox)):
        return None
    if isinstance(dataset, Idx):
        raise UserError(
            f"{INBOX / name}: idx keeps all images in one file; replace the file, or use image_folder or csv"
        )
    place = Path(dataset.root)
    whole = open_whole(dataset)
    first = whole.parts[0] if isinstance(whole, JoinedSource) else whole
    work = place / BATCHES / _WORK
    try:
        files = copy_inbox(inbox, work)
        report(f"{name}: {count_of(len(files), 'new file')} in {INBOX / name}")
        _complete(dataset, place, work)
        code = content_hash(files)
        try:
            checked = check_delivery(dataset, work, first, whole)
        except UserError as error:
            told = [Finding("broken_file", ".", line.replace(str(work), str(INBOX / name))) for line in error.lines]
            checked = Checked({}, sorted(files), [], told)
        batch = _placed(name, dataset, checked, work, code, root, report)
        if batch.samples:
            update_pointer(place, root, place / BATCHES / batch.name)
            BatchRecord(root).add(name, batch.name, "accept", batch.samples, batch.quarantined)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):
            (place / BATCHES).rmdir()  # where it is empty
    empty_inbox(inbox, files)
    return batch if batch.samples or batch.quarantined else None


def _complete(dataset: Dataset, place: Path, work: Path) -> None:
    """Give a delivery the class names of the data set where it brings none."""
    if isinstance(dataset, Yolo) and not is_described(work):
        (work / "data.yaml").write_text(names_only(place), encoding="utf-8")


def _placed(name: str, dataset: Dataset, checked: Checked, work: Path, code: str, root: Path, report: Report) -> Batch:
    """Put the bad files into quarantine and the good ones to the batches."""
    place, quarantine = Path(dataset.root), root / QUARANTINE / name
    batch = Batch(
        name,
        _batch_name(place, quarantine, code, bool(checked.accepted)),
        len(checked.accepted),
        len(checked.bad),
        len(checked.known),
    )
    kept, left_out, findings = divide_files(dataset, work, checked)
    if left_out or any(finding.fate != "kept" for finding in findings):
        quarantine_files(quarantine / batch.name, work, left_out, findings)
        table = (quarantine / batch.name / "findings.csv").relative_to(root)
        report(f"{name}: {_quarantined(checked, left_out)}, see {table}")
    if checked.known:
        verb = "is" if len(checked.known) == 1 else "are"
        report(f"{name}: {count_of(len(checked.known), 'image')} {verb} in the data set already, not added again")
    if checked.accepted:
        for path in set(visible_files(work)) - kept:
            (work / path).unlink()
        number = max((manifest.number for manifest in batch_folders(place).values()), default=0) + 1
        write_manifest(work, Manifest(number, checked.accepted, len(checked.bad)))
        (quarantine / batch.name / "reason.txt").unlink(missing_ok=True)  # of an earlier withdrawal
        work.rename(place / BATCHES / batch.name)
        report(f"{name}: batch {batch.name}: {count_of(len(checked.accepted), 'image')} added")
    return batch


def _quarantined(checked: Checked, left_out: set[str]) -> str:
    """Return how many files are in quarantine, by what they are."""
    if not left_out:
        return "some annotations are left out"
    bad = len(left_out & set(checked.bad))
    kinds = {"bad sample": bad, "other file": len(left_out) - bad}
    told = " and ".join(count_of(count, kind) for kind, count in kinds.items() if count)
    return f"{count_of(len(left_out), 'file')} in quarantine ({told})"


def _batch_name(place: Path, quarantine: Path, code: str, taken: bool) -> str:
    """Return the name of a delivery: that of the same content if it came before, else one of today.

    A name is not given twice to a batch: where an equal delivery is a batch and something of it is `taken` now, it is
    lengthened.
    """
    before = sorted(path.name for folder in (place / BATCHES, quarantine) for path in folder.glob(f"????????-{code}*"))
    name = before[0] if before else f"{datetime.now(UTC):%Y%m%d}-{code}"
    while taken and (place / BATCHES / name).exists():
        name += "a"
    return name


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Wait until no other process changes batches."""
    (root / ".sightline").mkdir(exist_ok=True)
    with (root / ".sightline" / "ingest.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
