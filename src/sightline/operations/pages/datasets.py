"""The card of a data set on a page: files of `data/prepared/NAME` in, tables and findings out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.raw.findings import KINDS
from sightline.data.structures import SPLITS
from sightline.operations.pages.pictures import Picture, picture
from sightline.operations.pages.tables import Cell, Table, figure_cell, text_cell
from sightline.system.files import read_json

_CHARACTERS = 60  # of an alphabet that are shown
MOST_ROWS = 50  # of the quarantine


@dataclass(frozen=True)
class Found:
    """A kind of finding: what, how often, what became of it, what to do, and the first ones."""

    title: str
    count: int
    fate: str
    remedy: str
    first: list[tuple[str, str]]


@dataclass(frozen=True)
class DataCard:
    """A data set on a page."""

    name: str
    facts: list[tuple[str, str]]
    classes: Table | None
    findings: list[Found]
    quarantine: Table | None
    samples: Picture | None
    averages: Picture | None


_FATES = {"sample": "left out", "annotation": "annotations rejected, their images are kept", "kept": "kept"}


def data_card(prepared: Path) -> DataCard | None:
    """Return the card of a prepared data set, None if it is not prepared."""
    if not (prepared / "card.json").is_file():
        return None
    card = read_json(prepared / "card.json")
    if not card.get("samples"):
        return None
    kinds = {str(code): kind for code, kind in KINDS.items()}
    findings = [
        Found(
            kinds[code].title,
            own["count"],
            _FATES[own["left_out"]],
            kinds[code].remedy_for(card["format"]),
            _first(own),
        )
        for code, own in card["findings"].items()
        if code in kinds
    ]
    shown, averages = prepared / "samples.png", prepared / "averages.png"
    alt = f"A sheet of training images of {card['name']} with what is annotated on them"
    return DataCard(
        card["name"],
        _facts(card),
        _classes(card) if card["classes"] else None,
        findings,
        _quarantine(prepared / "quarantine.csv"),
        picture(shown, alt, 900) if shown.is_file() else None,
        picture(averages, "The mean image of each class, or of all images, in each split", 900)
        if averages.is_file()
        else None,
    )


def _first(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one["source"], one["reason"]) for one in found["first"][:5]]


def _facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    samples = card["samples"]
    sides = [
        f"{size['min']}" if size["min"] == size["max"] else f"{size['min']} to {size['max']}"
        for size in (card["sizes"]["width"], card["sizes"]["height"])
    ]
    colours = {"1": "grey", "3": "colour"}
    channels = ", ".join(f"{count:,} {colours.get(number, number)}" for number, count in card["channels"].items())
    bad = f"{card['quarantined']:,} images" + (f", {card['dropped']:,} annotations" if card["dropped"] else "")
    values = [
        (f"value {name}", f"{own['min']:.4g} to {own['max']:.4g}, mean {own['mean']:.4g}")
        for name, own in card["values"].items()
    ]
    characters = list(card.get("characters", {}).get("train", {}))
    if characters:
        more = "..." if len(characters) > _CHARACTERS else ""
        values.append(("characters", f"{len(characters)} different: {''.join(characters[:_CHARACTERS])}{more}"))
    return [
        ("images", " · ".join(f"{samples[split]:,} {split}" for split in SPLITS)),
        ("format", card["format"]),
        ("image size", f"{sides[0]} by {sides[1]} pixels, {channels}"),
        ("rejected", bad),
        *values,
    ]


def _classes(card: Mapping[str, Any]) -> Table:
    """Return the images with each class, and its objects or its share of the pixels where it has some."""
    counted = card["objects"] or card["pixels"]
    more = "objects" if card["objects"] else "pixels"
    columns = [("class", False)]
    for split in SPLITS:
        columns += [(split, True)] + ([(f"{split}, {more}", True)] if counted else [])
    totals = {split: max(1, sum(counted[split].values())) for split in SPLITS} if counted else {}
    rows = []
    for name in card["classes"]:
        cells = [text_cell(name)]
        for split in SPLITS:
            cells.append(figure_cell(card["counts"][split][name]))
            if counted:
                own, share = counted[split][name], counted[split][name] / totals[split]
                cells.append(figure_cell(own) if more == "objects" else Cell(f"{share:.1%}", share))
        rows.append(cells)
    return Table("Images with each class" + (f", and its {more}" if counted else ""), columns, rows)


def _quarantine(path: Path) -> Table | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None
    columns = [(name.replace("_", " "), False) for name in rows[0]]
    cells = [[text_cell(value or "") for value in row.values()] for row in rows[:MOST_ROWS]]
    told = f", the first {MOST_ROWS}" if len(rows) > MOST_ROWS else ""
    return Table(f"Quarantine: {len(rows):,} lines{told}", columns, cells)
