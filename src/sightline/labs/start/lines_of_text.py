"""The model to begin with where images show a line of text."""

from __future__ import annotations

from sightline.labs.start.entries import Chosen, Entry
from sightline.labs.start.facts import Facts
from sightline.labs.start.plan import Plan, batch_of

_HEIGHT = 32  # pixels of a line, as in the paper (Shi et al. 2015)
_STRIDE = 4  # pixels per column
_SPARE = 1.5  # columns per character at least; equal neighbours need one between them
_NARROWEST, _WIDEST = 64, 1024


def reader(dataset: str, facts: Facts) -> Plan:
    """Return the plan of a network of columns.

    Args:
        dataset: its name.
        facts: of the data set.
    """
    shape, letters = _HEIGHT * facts.width / facts.height, _SPARE * _STRIDE * facts.longest_text
    width = min(_WIDEST, max(_NARROWEST, 8 * -(-int(max(shape, letters)) // 8)))
    why = f"lines are {facts.width} x {facts.height} px, the longest has {facts.longest_text} characters"
    entry: Entry = {
        "dataset": dataset,
        "task": {
            "kind": "text_recognition",
            "sequence": Chosen("lstm", "what a character is also depends on its neighbours"),
        },
        "weights": Chosen("random", "published weights know no lines of text"),
        "input": {"size": Chosen(_HEIGHT, "the height of a line"), "width": Chosen(width, why)},
        "optimizer": {
            "name": "adamw",
            "lr": Chosen(0.004, "with which 2 % of the characters of embedded strings are wrong"),
            "weight_decay": 0.01,
        },
        "schedule": {"name": "one_cycle", "warmup": 0.2},
        "trainer": {
            "batch_size": Chosen(batch_of(facts.samples["train"], 32), "steps enough in few epochs"),
            "clip_norm": 5.0,
            "early_stopping": Chosen(None, "the schedule ends with the last epoch"),
            "keep": "last",
        },
    }
    return Plan(entry, 8, 40)
