"""Where a model stands: decisions of the ledger in, plain words out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.operations.pages.sources import Sources
from sightline.operations.pages.tables import Cell, Table, figure_cell, text_cell
from sightline.registry.ledger import Entry
from sightline.registry.release import Release, headline_text

_DECISIONS = {"promote": "promoted", "refuse": "refused", "rollback": "rolled back"}
_TONES = {"promote": "good", "refuse": "bad", "rollback": "bad"}


@dataclass(frozen=True)
class Standing:
    """Where the model in the workspace stands.

    Attributes:
        word: champion, challenger, or neither of them yet.
        version: of the registry, "" if it is not registered.
        tone: good or faint.
        short: why, in a few words.
        sentences: what was decided, and why.
    """

    word: str
    version: str
    tone: str
    short: str
    sentences: list[str]


def standing_of(sources: Sources, release: Release | None) -> Standing:
    """Return the status of the released model."""
    if release is None:
        return Standing("not released", "", "faint", "", [f"Run dvc repro {sources.stage} to release it."])
    own = [e for e in sources.history if release.model_md5 in (e.model_md5, e.champion_md5)]
    version = ""
    if sources.outcome is not None and sources.outcome.model_md5 == release.model_md5:
        version = f"version {sources.outcome.version}"
    judged = [entry for entry in own if entry.model_md5 == release.model_md5]
    champion = _champion(sources.history)
    if not judged:
        return Standing(
            "not judged yet", version, "faint", "", ["The gate has not judged this model: dvc repro register."]
        )
    last = judged[-1]
    if champion is None:
        told = f"The gate refused it: {_sentence(last.reason)}"
        leads = "No version of this name is champion yet."
        return Standing("challenger", version, "bad", f"{_DECISIONS[last.decision]}: {last.short}", [told, leads])
    if champion.model_md5 == release.model_md5:
        return Standing("champion", version, "good", last.short, [_promoted(last), *_tests(last)])
    replaced = own[-1].champion_md5 == release.model_md5 and own[-1].model_md5 != release.model_md5
    if replaced and own[-1].decision != "refuse":
        told = f"It was champion until {_day(own[-1])}: {_sentence(own[-1].reason)}"
        last = own[-1]
    else:
        told = f"The gate refused it: {_sentence(last.reason)}"
    number = sources.outcome.numbers.get(champion.model_md5) if sources.outcome is not None else None
    who = f"version {number} ({champion.model_md5[:8]})" if number else f"model {champion.model_md5[:8]}"
    leads = f"The champion is {who}, {headline_text(champion.headline)}."
    return Standing("challenger", version, "bad", f"{_DECISIONS[last.decision]}: {last.short}", [told, leads])


def history_table(history: Sequence[Entry], present: str | None) -> Table:
    """Return all decisions on a name, the newest first, those on the model `present` marked."""
    rows = []
    for entry in reversed(history):
        mark = "this model" if entry.model_md5 == present else ""
        cells = [
            Cell(_DECISIONS[entry.decision], entry.decision, tone=_TONES[entry.decision]),
            text_cell(entry.model_md5[:8], note=mark),
            Cell(headline_text(entry.headline), entry.headline["value"]),
            figure_cell(entry.gain),
            Cell(entry.reason, entry.reason, note=_figures(entry)),
        ]
        rows.append([Cell(entry.time.replace("T", " ").removesuffix("+00:00"), entry.time), *cells])
    names = ("time (UTC)", "decision", "model", "score", "gain", "reason")
    columns = [(name, name == "gain") for name in names]
    return Table("Decisions, newest first; a positive gain means that the challenger is better", columns, rows)


def _figures(entry: Entry) -> str:
    """Return guards and budget with their values, which a reason in words names only where they are broken."""
    told = [f"guard: {check.told}" for check in entry.guards] + [f"budget: {check.told}" for check in entry.budget]
    return "; ".join(told)


def _champion(history: Sequence[Entry]) -> Entry | None:
    """Return the decision that made the present champion; a rollback names the model that it restored."""
    made = [entry for entry in history if entry.decision != "refuse"]
    return made[-1] if made else None


def _promoted(entry: Entry) -> str:
    if entry.decision == "rollback":
        return f"It was made champion again: {_sentence(entry.reason)}"
    if entry.code == "first":
        return "It is the first version of its name, so there was nothing to compare it with."
    if entry.code == "by_hand":
        return f"It was promoted by hand, whatever the gate said: {_sentence(entry.reason.removeprefix('by hand: '))}"
    who = "The gate promoted it" if entry.code else "It was promoted"  # lines older than codes do not say by whom
    return f"{who}: {_sentence(entry.reason)}"


def _tests(entry: Entry) -> list[str]:
    count = entry.promotions_on_test_set
    if count < 2:
        return []
    return [
        f"The same test images decided {count} earlier promotions: the more often they decide, the more "
        f"optimistic their scores become."
    ]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _day(entry: Entry) -> str:
    return entry.time.split("T")[0]
