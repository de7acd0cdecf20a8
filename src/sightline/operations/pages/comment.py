"""What a pull request does to the models, as one Markdown text: scores, paired differences, decisions, worst images."""

from __future__ import annotations

import re
from pathlib import Path

from sightline.config import Params
from sightline.operations.pages.drawings import judged_samples
from sightline.operations.pages.sources import Sources, model_sources
from sightline.registry.grounds import gain_text
from sightline.registry.ledger import Entry, Ledger
from sightline.registry.release import Release, headline_text

_DECISIONS = {"promote": "promoted", "refuse": "refused", "rollback": "rolled back"}
_SHOWN = 3  # worst images of each model
_NOTHING = "-"


def comment_text(params: Params, root: Path, link: str = "") -> str:
    """Return a table of the models and the worst test images of each.

    Args:
        params: names the models.
        root: of the project.
        link: where `reports/` can be looked at, an address; "" if it cannot.
    """
    ledger = Ledger(root / "registry" / "ledger.jsonl")
    models = [
        model_sources(name, entry.dataset, f"release@{name}", root, [], ledger)
        for name, entry in params.registered().items()
    ]
    lines = [
        "## Models",
        "",
        "| model | task | test score [interval] | against the champion [interval] | decision |",
        "|---|---|---|---|---|",
        *(_row(sources, params.kinds()[sources.name], ledger) for sources in models),
        "",
        "Differences in the headline metric, on the same test images and the same resamples for both "
        "models; positive is better.",
    ]
    worst = [line for sources in models for line in _worst(sources)]
    if worst:
        lines += ["", "<details><summary>Worst test images</summary>", "", *worst, "", "</details>"]
    if link:
        lines += ["", f"[Reports of all models]({link})"]
    return "\n".join(lines) + "\n"


def _row(sources: Sources, task: str, ledger: Ledger) -> str:
    release = sources.release()
    judged = None if release is None else _judgement(sources, release)
    cells = [
        task.replace("_", " "),
        _NOTHING if release is None else headline_text(release.headline),
        _NOTHING
        if judged is None or judged.gain is None
        else gain_text(judged.gain, judged.low, judged.high, judged.compared),
        "not made" if release is None else _decision(release, judged, ledger),
    ]
    return f"| `{sources.name}` | {' | '.join(_escaped(cell) for cell in cells)} |"


def _judgement(sources: Sources, release: Release) -> Entry | None:
    """Return the newest decision on the released model itself."""
    return next((entry for entry in reversed(sources.history) if entry.model_md5 == release.model_md5), None)


def _decision(release: Release, judged: Entry | None, ledger: Ledger) -> str:
    if judged is None:
        return "not judged"
    champion = ledger.champion_of(release.name)
    place = "champion" if champion is not None and champion.model_md5 == release.model_md5 else "challenger"
    return f"{place}; {_DECISIONS[judged.decision]}: {judged.short}"


def _worst(sources: Sources) -> list[str]:
    found = judged_samples(sources.evaluation)
    if found is None or not len(found[2].order):
        return []
    rows, quality, worst = found
    told = [f"- `{sources.name}`, {_escaped(worst.title)}; `reports/{sources.name}/evaluation/worst.png`"]
    for place in worst.order[:_SHOWN].tolist():
        row = rows.iloc[place]
        words = [_escaped(str(row["told"])), _escaped(quality.of(place))]
        told.append(f"    - {_code(str(row['source']))}: {', '.join(filter(None, words))}")
    return told


def _code(text: str) -> str:
    """Return a text of unknown origin, such as a file's name, as code: nothing in it has a meaning."""
    plain = text.replace("`", "'")
    return f"`{' '.join(plain.split())}`"


def _escaped(text: str) -> str:
    """Return a text of unknown origin, such as a class's name, without Markdown, HTML, tables and mentions."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return " ".join(re.sub(r"([\\`*_|\[\]])", r"\\\1", text).split())
