"""Makes the pages of a project: those whose sources have changed, each written completely or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.config import Params
from sightline.operations.advice import candidates
from sightline.operations.pages.sources import Sources, code_digest, model_sources
from sightline.registry.ledger import Ledger
from sightline.registry.outcomes import Outcome
from sightline.system.errors import UserError
from sightline.system.files import new_file, read_json, write_json

if TYPE_CHECKING:
    from sightline.operations.pages.verdict import Verdict


def make_pages(
    params: Params, root: Path, outcomes: Sequence[Outcome], names: Sequence[str] = (), *, force: bool = False
) -> list[str]:
    """Write `reports/NAME/index.html` of evaluated models, and the overview `reports/index.html`.

    A page whose sources are as they were when it was written stays, according to their hash in `.sightline/pages.json`.

    Args:
        params: names the models.
        root: of the project.
        outcomes: what the registry holds.
        names: of models and heads; empty for all.
        force: also write pages whose sources have not changed.

    Returns:
        The names of the models whose pages were written.

    Raises:
        UserError: a name is unknown or not evaluated, or a file is damaged.
    """
    root = root.resolve()
    for name in names:
        params.dataset_of(name)
    every = _sources(params, root, outcomes)
    models = [sources for sources in every if sources.is_evaluated()]
    evaluated = {sources.name for sources in models}
    for name in names:
        if name not in evaluated:
            raise UserError(f"{name}: not evaluated yet; run `dvc repro evaluate@{name}`")
    known = {} if force else _known(root)
    digests = {sources.name: sources.digest() for sources in models}
    made = [
        sources.name
        for sources in models
        if (not names or sources.name in names)
        and not (sources.page.is_file() and known.get(sources.name) == digests[sources.name])
    ]
    for sources in models:
        if sources.name in made:
            _write_model(sources)
            known[sources.name] = digests[sources.name]
    missing = [sources.name for sources in every if sources.name not in evaluated]
    overview = _overview_digest(digests, missing)
    if made or known.get("") != overview or not (root / "reports" / "index.html").is_file():
        _write(root / "reports" / "index.html", _overview(params, root, models, missing))
        kept = {name: known[name] for name in digests if name in known}
        write_json(_memo(root), {**kept, "": overview})
    return made


def short_verdicts(params: Params, root: Path) -> list[Verdict]:
    """Return three sentences on the best evaluated model of each data set and kind of task."""
    from sightline.operations.pages.verdict import verdicts

    root = root.resolve()
    models = [sources for sources in _sources(params, root, ()) if sources.is_evaluated()]
    return verdicts(models, _slices_file(params, root))


def _sources(params: Params, root: Path, outcomes: Sequence[Outcome]) -> list[Sources]:
    ledger = Ledger(root / "registry" / "ledger.jsonl")
    return [
        model_sources(
            name, entry.dataset, f"release@{name}", root, list(outcomes), ledger, candidates(params, entry.dataset)
        )
        for name, entry in params.registered().items()
    ]


def _slices_file(params: Params, root: Path) -> Path | None:
    file = params.evaluation.slices_file
    return root / "data" / "slices" / file if file else None


def _write_model(sources: Sources) -> None:
    from sightline.operations.pages.model_page import model_page

    _write(sources.page, model_page(sources))


def _overview(params: Params, root: Path, models: Sequence[Sources], missing: Sequence[str]) -> str:
    from sightline.operations.pages.overview import overview_page
    from sightline.operations.pages.verdict import verdicts

    return overview_page(models, missing, verdicts(models, _slices_file(params, root)))


def _write(path: Path, page: str) -> None:
    with new_file(path) as work:
        work.write_text(page, encoding="utf-8")


def _overview_digest(digests: dict[str, str], missing: Sequence[str]) -> str:
    told = [code_digest(), *(f"{name} {digest}" for name, digest in digests.items()), *missing]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _known(root: Path) -> dict[str, Any]:
    try:
        known = read_json(_memo(root))
    except (OSError, ValueError):
        return {}  # only a memo
    return known if isinstance(known, dict) else {}


def _memo(root: Path) -> Path:
    return root / ".sightline" / "pages.json"
