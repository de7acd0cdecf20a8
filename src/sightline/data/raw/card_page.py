"""The card of a prepared data set as a Markdown page."""

from __future__ import annotations

from sightline.data.raw.card import Card
from sightline.data.raw.findings import KINDS, Fate
from sightline.data.structures import SPLITS, SplitName

_FATES: dict[Fate, str] = {
    "sample": "samples rejected, all listed in quarantine.csv",
    "annotation": "annotations rejected, all listed in quarantine.csv; their images are kept",
    "kept": "kept",
}


def render_page(card: Card) -> str:
    """Return the card as a Markdown page."""
    classes = f" of {len(card.classes)} classes" if card.classes else ""
    left_out = f"{card.quarantined} rejected" + (f", {card.dropped} annotations too" if card.dropped else "")
    lines = [
        f"# Data set {card.name}",
        "",
        f"{sum(card.samples.values())} images{classes} ({card.format}); "
        f"{left_out}, {card.ignored} other files ignored.",
        "",
        "| pixels | smallest | median | largest |",
        "|---|--:|--:|--:|",
        *(f"| {side} | {size['min']} | {size['median']} | {size['max']} |" for side, size in card.sizes.items()),
        "",
        "Images by channels: " + ", ".join(f"{count} with {number}" for number, count in card.channels.items()) + ".",
        "",
        *_class_lines(card),
        *_value_lines(card),
        *_character_lines(card),
        *_batch_lines(card),
        "![Some training images](samples.png)",
        "",
        "![The mean images of each split](averages.png)",
        "",
        "## Findings",
        "",
        *(_finding_lines(card) or ["None."]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _batch_lines(card: Card) -> list[str]:
    """Return the table of the batches that were added to the first data."""
    if not card.batches:
        return []
    rows = [f"| {name} | {' | '.join(str(own[s]) for s in SPLITS)} |" for name, own in card.batches.items()]
    return ["## Batches", "", f"| added | {' | '.join(SPLITS)} |", f"|---|{'--:|' * len(SPLITS)}", *rows, ""]


def _class_lines(card: Card) -> list[str]:
    """Return the table of classes: images with each, and its objects or its share of the pixels where it has some."""
    more = "objects" if card.objects else "pixels" if card.pixels else ""
    counted = card.objects or card.pixels
    totals = {split: max(1, sum(counted[split].values())) for split in SPLITS} if counted else {}

    def cell(split: SplitName, name: str) -> str:
        share = f"{counted[split][name] / totals[split]:.1%}" if more == "pixels" else str(counted[split][name])
        return f"{card.counts[split][name]} | {share}"

    columns = [f"{split} | {more}" if more else split for split in SPLITS]
    rows = [
        f"| {_cell(name)} | {' | '.join(cell(s, name) if more else str(card.counts[s][name]) for s in SPLITS)} |"
        for name in card.classes
    ]
    sums = [str(card.samples[s]) + (f" | {totals[s] if more == 'objects' else ''}" if more else "") for s in SPLITS]
    marks = "--:|" * len(SPLITS) * (2 if more else 1)
    return [
        "## Classes",
        "",
        *(["Images with each class, with its share of the pixels or its number of objects.", ""] if more else []),
        f"| class | {' | '.join(columns)} |",
        f"|---|{marks}",
        *rows,
        f"| **all images** | {' | '.join(sums)} |",
        "",
    ]


def _value_lines(card: Card) -> list[str]:
    if not card.values:
        return []
    rows = [
        f"| {_cell(name)} | {one['min']:g} | {one['mean']:g} | {one['max']:g} |" for name, one in card.values.items()
    ]
    return ["## Values", "", "| value | smallest | mean | largest |", "|---|--:|--:|--:|", *rows, ""]


def _character_lines(card: Card) -> list[str]:
    """Return the table of the characters of texts."""
    if not card.characters:
        return []
    rows = [
        f"| {_code(one)} | {' | '.join(str(card.characters[s][one]) for s in SPLITS)} |"
        for one in card.characters["train"]
    ]
    return ["## Characters", "", f"| character | {' | '.join(SPLITS)} |", f"|---|{'--:|' * len(SPLITS)}", *rows, ""]


def _code(character: str) -> str:
    """Return a character so that Markdown shows it, a blank by its name."""
    return "blank" if character == " " else f"`` {_cell(character)} ``"


def _finding_lines(card: Card) -> list[str]:
    lines = []
    for code, kind in KINDS.items():
        if code not in card.findings:
            continue
        found = card.findings[code]
        fate = _FATES[kind.fate]
        lines += [
            f"### {kind.title.capitalize()}: {found['count']}",
            "",
            f"`{code}`, {fate}. Remedy: {kind.remedy_for(card.format)}.",
            "",
        ]
        lines += [f"- `{first['source']}`: {first['reason']}" for first in found["first"]]
        if found["count"] > len(found["first"]):
            lines.append(f"- and {found['count'] - len(found['first'])} more")
        lines.append("")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
