"""Signs of MVTec AD's layout: good images alone in train, and others beside them only in test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from sightline.data.raw.formats.mvtec import GOOD
from sightline.data.raw.recognition.listing import Listing
from sightline.data.raw.recognition.proposal import Proposal


def propose_mvtec(files: Listing) -> Iterator[Proposal]:
    """Yield a proposal for each folder with `train/good`, no other class in train, and others in test."""
    classes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in files.images:
        parts = PurePosixPath(path).parts
        if len(parts) > 2:
            classes["/".join(parts[:-3])][parts[-3]].add(parts[-2])
    for base, splits in classes.items():
        kinds = splits.get("test", set()) - {GOOD}
        if splits.get("train") == {GOOD} and kinds:
            seen = f"good images alone in train, and {', '.join(sorted(kinds)[:3])} beside them in test, as in MVTec AD"
            yield Proposal({"format": "mvtec", "root": str(files.root / base)}, f"{base}: {seen}" if base else seen)
