"""The quarantine: files that were not taken, next to a table that says why."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from sightline.config.datasets import Dataset
from sightline.data.raw.findings import KINDS, UNUSED, Finding
from sightline.data.raw.formats.source import is_image, visible_files
from sightline.data.raw.names import printable
from sightline.operations.ingest.checking import Checked, belongings
from sightline.system.files import new_folder


def divide_files(dataset: Dataset, work: Path, checked: Checked) -> tuple[set[str], set[str], list[Finding]]:
    """Return the files that go to the batch, those that go to the quarantine, and the findings about all of them.

    An annotation file or mask goes where its image goes. Tables go to the batch and, where an image is bad, to the
    quarantine too. Images that are neither a sample nor the mask of one are left out.
    """
    accepted, bad = set(checked.accepted), set(checked.bad)
    samples = accepted | bad | set(checked.known)
    files = sorted(visible_files(work))
    findings = list(checked.findings)
    ignored = {finding.source for finding in findings if finding.code in UNUSED}
    kept, left_out = set(accepted), set(bad)
    told = {finding.source for finding in findings}
    for path, owners in belongings(dataset, files, samples).items():
        if not owners and is_image(path) and path not in told:
            findings.append(Finding("ignored", path, "does not belong to a sample"))
        if path in ignored or (not owners and is_image(path)):
            left_out.add(path)
            continue
        if not owners or owners & accepted:
            kept.add(path)
        if owners & bad or (not owners and bad):
            left_out.add(path)
    return kept, left_out & set(files), findings


def quarantine_files(folder: Path, work: Path, paths: set[str], findings: Sequence[Finding]) -> None:
    """Copy files below `work` to a new `folder`, under names that can be printed, with `findings.csv` next to them."""
    with new_folder(folder) as new:
        for path in sorted(paths):
            target = new / printable(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work / path, target)
        with (new / "findings.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["source", "left_out", "code", "reason", "remedy"])
            for found in findings:
                lost = "file" if found.code in UNUSED else found.fate
                table.writerow([found.source, lost, found.code, found.reason, KINDS[found.code].remedy])
