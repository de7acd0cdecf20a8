"""What a data set is, and what is wrong with it, in lines for the user."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.labs.start.facts import Facts
from sightline.system.words import count_of, first_few

_SHOWN = 3  # examples of what was found
_CLASSES = 6  # names
_FEW_TESTS = 20  # images; 19 right of 20 may as well be 75 % as 99.9 % (Clopper-Pearson, 95 %)


def described(facts: Facts, name: str) -> list[str]:
    """Return what the data set of this name is, in one line, and a line for each thing to know."""
    about = [_images(facts), f"{facts.width} x {facts.height} px" + (", grey" if facts.grey else "")]
    if facts.classes:
        named = f" ({first_few(facts.classes, _CLASSES)})" if facts.objects else ""
        uneven = f", the most frequent {facts.imbalance:.0f} times the rarest" if facts.imbalance >= 2 else ""
        about.append(count_of(len(facts.classes), "class", "classes") + named + uneven)
    if facts.objects:
        half = f"half of them smaller than {facts.objects.median:.0%} of its longer side"
        about.append(f"{facts.objects.per_image:.1f} objects per image, {half}")
    return ["; ".join(about), *_doubts(facts, name)]


def _images(facts: Facts) -> str:
    counts = ", ".join(f"{split} {facts.samples[split]}" for split in ("train", "val", "test"))
    return f"{count_of(sum(facts.samples.values()), 'image')} ({counts})"


def _doubts(facts: Facts, name: str) -> Iterator[str]:
    if facts.left_out:
        total = sum(facts.left_out.values())
        reasons = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in facts.left_out.items())
        some = [path for code in facts.left_out for path in _sources(facts, code)]
        named = f": {', '.join(some[:_SHOWN])}" if some else ""
        yield (
            f"{count_of(total, 'image')} {'is' if total == 1 else 'are'} left out ({reasons}){named}; "
            f"data/prepared/{name}/quarantine.csv will list all"
        )
    bare = facts.findings.get("unannotated", {}).get("count", 0)
    if bare:
        some = _sources(facts, "unannotated")
        more = f" and {bare - _SHOWN} more" if bare > _SHOWN else ""
        yield f"no annotations, so learned as without objects: {', '.join(some[:_SHOWN])}{more}"
    alike: dict[str, list[str]] = {}
    for one in facts.classes:
        alike.setdefault(one.casefold(), []).append(one)
    for names in alike.values():
        if len(names) > 1:
            yield f"{' and '.join(names)} differ only in case; one class? rename the folder, or the class in its files"
    if facts.longest_text:
        yield f"texts of at most {count_of(facts.longest_text, 'character')}"
    empty = [one for one in facts.classes if not facts.counts.get(one)]
    if empty and facts.task != "anomaly":
        yield f"no image of {first_few(empty, 5)} is left to learn from"
    tests = facts.samples["test"]
    if tests < _FEW_TESTS:
        yield (
            f"{count_of(tests, 'test image')}: too few to judge a model; add images, or give test a larger share "
            f"by `split:` of datasets.{name} in params.yaml"
        )


def _sources(facts: Facts, code: str) -> list[str]:
    return [one["source"] for one in facts.findings.get(code, {}).get("first", [])]
