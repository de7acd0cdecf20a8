"""From raw files to a prepared data set: check everything, divide, write the store and report the findings."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from sightline.config.datasets import Dataset, Drawn, MaskFolder
from sightline.data.contact_sheet import draw_contact_sheet
from sightline.data.raw.averages import draw_averages
from sightline.data.raw.card import Card, count_classes, find_scarce_classes, make_card
from sightline.data.raw.card_page import render_page
from sightline.data.raw.checks import Record, find_other_ranges, inspect_all
from sightline.data.raw.completeness import (
    cause,
    find_crowds,
    find_empty_splits,
    find_hidden_classes,
    require_classes,
    require_objects,
    require_used,
)
from sightline.data.raw.division import FILE, Division, known_parts, make_division, require_kept, rule_of, told
from sightline.data.raw.duplicates import find_conflicts, find_copies, find_near_copies
from sightline.data.raw.findings import Finding
from sightline.data.raw.formats import Source, open_source
from sightline.data.raw.shards import sample_id, write_split
from sightline.data.raw.signature import Signatures
from sightline.data.raw.small_pictures import SmallPictures
from sightline.data.raw.splits import divide, find_divided_groups, find_given_parts, require_parts
from sightline.data.raw.texts import find_unlearned_characters
from sightline.data.store import SplitStore
from sightline.data.structures import SPLITS, SplitName
from sightline.system.errors import UserError
from sightline.system.files import new_folder, write_json
from sightline.system.in_order import in_order

_TOLD = 10  # bad samples named when they stop the run
_Parts = dict[SplitName, list[Record]]


def prepare(name: str, dataset: Dataset, folder: Path, progress: bool = False, last: Division | None = None) -> Card:
    """Write the prepared data set `name` to `folder`, all of it or nothing, and return its card.

    Args:
        name: of the data set.
        dataset: its section of params.yaml.
        folder: where to.
        progress: whether to show bars.
        last: how the data set was divided before, where it was; what was there stays where it is.

    Raises:
        UserError: the raw files cannot be used as they are.
    """
    source = open_source(dataset)
    with _counted(progress) as count, new_folder(folder) as work:
        pictures, signatures = SmallPictures(), Signatures(len(source), work)
        records, findings = _checked(
            source, dataset.checks.max_pixels, pictures, signatures, count("checking", len(source))
        )
        parts, across, division = _divided(dataset, source, records, signatures, last)
        findings += across
        if dataset.on_bad_sample == "fail":
            _require_good(dataset.root, findings)
        if isinstance(dataset, Drawn) and not dataset.allow_empty:
            require_used(dataset.root, findings)
        _require_some(dataset.root, len(source), parts, findings)
        findings += _told_of_drawings(dataset, source, parts, findings)
        require_parts(name, {split: len(members) for split, members in parts.items()})
        require_kept(name, last, division)
        (work / FILE).write_bytes(division.to_bytes())
        advance = count("writing", sum(map(len, parts.values())))
        write_json(work / "labels.json", source.labels.to_json())
        for split, members in parts.items():
            write_split(work / split, source, members, advance)
        return _described(name, dataset, source, parts, findings, pictures, work)


def _told_of_drawings(dataset: Dataset, source: Source, parts: _Parts, findings: Sequence[Finding]) -> list[Finding]:
    """Check that what is drawn on the images reached them, and return what is to be said of it."""
    if not isinstance(dataset, Drawn):
        return []
    if not dataset.allow_empty:
        require_objects(dataset.root, len(source), parts, findings)
        if isinstance(dataset, MaskFolder) and dataset.classes is None:
            require_classes(dataset.root, source.labels, dataset.ignored_values(), parts)
    found = find_empty_splits(parts) + find_crowds(source.labels, parts)
    return found + (find_hidden_classes(source.labels, parts) if isinstance(dataset, MaskFolder) else [])


def _checked(
    source: Source, max_pixels: int, pictures: SmallPictures, signatures: Signatures, advance: Callable[[], None]
) -> tuple[list[Record], list[Finding]]:
    records: list[Record] = []
    findings = [*source.findings, *(Finding("ignored", path, "not read") for path in source.ignored)]
    for record, found, look in inspect_all(source, max_pixels):
        if record is not None and look is not None:
            records.append(record)
            pictures.keep(sample_id(record), look.picture)
            signatures.keep(record.index, look.signature)
        findings += found
        advance()
    return records, findings + find_other_ranges(records)


def _divided(
    dataset: Dataset, source: Source, records: list[Record], signatures: Signatures, last: Division | None
) -> tuple[_Parts, list[Finding], Division]:
    """Return the records of each split without contradictions and leaks, what was found, and what to remember."""
    fractions: dict[SplitName, float] = {
        "train": dataset.split.train,
        "val": dataset.split.val,
        "test": dataset.split.test,
    }
    findings = find_given_parts(records, fractions, "split" in dataset.model_fields_set)
    findings += find_conflicts(records, source.labels.classes)
    records = _without(records, findings)
    by = rule_of(dataset.split, last)
    known = known_parts(by, dataset.split, last, records)
    splits = divide(records, fractions, by, dataset.split.salt, known)
    division = make_division(by, dataset.split, records, splits)
    findings += told(dataset.split, by) + find_copies(records, splits) + find_divided_groups(records, splits)
    leaks = {finding.source for finding in findings if finding.bad}
    pairs = [pair for pair in zip(records, splits, strict=True) if pair[0].source not in leaks]
    records, splits = [record for record, _ in pairs], [split for _, split in pairs]
    findings += find_near_copies(records, splits, signatures, dataset.checks.near_duplicate_bits)
    parts: _Parts = {part: [record for record, split in pairs if split == part] for part in SPLITS}
    counts = {part: count_classes(source.labels, members) for part, members in parts.items()}
    scarce = find_scarce_classes(counts, dataset.checks.min_samples_per_class)
    if dataset.good_alone_in_train:
        scarce = [finding for finding in scarce if finding.code != "class_without_train"]
    return parts, findings + scarce + find_unlearned_characters(parts), division


def _without(records: Sequence[Record], findings: Sequence[Finding]) -> list[Record]:
    bad = {finding.source for finding in findings if finding.bad}
    return [record for record in records if record.source not in bad]


def _require_good(root: str, findings: Sequence[Finding]) -> None:
    bad = [finding for finding in findings if finding.fate != "kept"]
    if bad:
        more = [f"{root}: and {len(bad) - _TOLD} more bad samples or annotations"] if len(bad) > _TOLD else []
        raise UserError([finding.line(root) for finding in bad[:_TOLD]] + more)


def _require_some(root: str, total: int, parts: _Parts, findings: Sequence[Finding]) -> None:
    if not any(parts.values()):
        lost = [finding for finding in findings if finding.bad]
        told = (
            f"all {total} samples are bad; the first: {cause(lost[0], findings).line(root)}"
            if lost
            else "no samples; correct `root`"
        )
        raise UserError(f"{root}: {told}")


def _described(
    name: str,
    dataset: Dataset,
    source: Source,
    parts: _Parts,
    findings: list[Finding],
    pictures: SmallPictures,
    work: Path,
) -> Card:
    """Write card, report, quarantine and pictures next to the shards; return the card."""
    stores = {split: SplitStore(work / split) for split in SPLITS}
    digests = dict(zip(SPLITS, in_order(lambda split: stores[split].digest, SPLITS, piece=1), strict=True))
    card = make_card(name, dataset.format, source.labels, parts, findings, len(source.ignored), digests)
    write_json(work / "card.json", card.to_json())
    (work / "report.md").write_text(render_page(card), encoding="utf-8")
    with (work / "quarantine.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["source", "left_out", "code", "reason"])
        left_out = [found for found in findings if found.fate != "kept"]
        table.writerows([found.source, found.fate, found.code, found.reason] for found in left_out)
    draw_contact_sheet(stores["train"], source.labels).save(work / "samples.png")
    draw_averages(stores, source.labels, pictures).save(work / "averages.png")
    return card


@contextmanager
def _counted(shown: bool) -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Yield a function that begins a bar on stderr and returns what moves it on by one."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:

        def begin(what: str, total: int) -> Callable[[], None]:
            bar = bars.add_task(what, total=total)
            return lambda: bars.advance(bar)

        yield begin
