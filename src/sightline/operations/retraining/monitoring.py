"""Checks a data set of `params.yaml` for drift: images in, a report and, if wanted, a new verdict out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.config.monitor import Monitor
from sightline.config.params import Params
from sightline.operations.drift.verdicts import CheckRecord, Verdict, last_verdicts, past_checks, record_check
from sightline.system.errors import UserError
from sightline.system.files import new_folder, write_json

if TYPE_CHECKING:
    from sightline.operations.drift.comparison import Comparison
    from sightline.operations.drift.observers import Observer
    from sightline.operations.drift.seen import Seen


class TooFewImages(UserError):  # noqa: N818 - it is not an error
    """There is not enough data to conclude anything; not an error if images are still to come."""


@dataclass(frozen=True)
class DriftCheck:
    """What became of one check.

    Attributes:
        dataset: its name.
        comparison: of the validation split with recent images.
        verdict: what is held of the data set now; None before its first recorded check.
        began: whether it drifts from this check on.
        settings: what was compared, as text.
        folder: with the page `index.html`, `drift.json` and pictures.
        pictures: PNG files.
    """

    dataset: str
    comparison: Comparison
    verdict: Verdict | None
    began: bool
    settings: dict[str, str]
    folder: Path
    pictures: list[Path]


def check_dataset(
    params: Params, dataset: str, root: Path, recent: Path | None = None, model: str | None = None, record: bool = False
) -> DriftCheck:
    """Compare recent images with the validation split, and write `reports/drift/DATASET/`.

    Args:
        params: checked; a data set without an entry in `monitor` is compared by the defaults.
        dataset: its name.
        root: of the project.
        recent: folder of images, instead of the one in params.
        model: the model whose features and predictions are compared, instead of the one in params.
        record: whether the check counts for the verdict on the data set.

    Raises:
        TooFewImages: less than `min_samples` images can be read.
        UserError: data set, folder or model are not there.
    """
    from sightline.operations.drift.comparison import compare
    from sightline.operations.drift.images import recent_folder, recent_images, reference_images
    from sightline.operations.drift.seen import look

    raw = params.dataset(dataset).root
    own = params.monitor.get(dataset, Monitor())
    folder = recent or (Path(own.recent) if own.recent else None)
    place = root / folder if folder else recent_folder(root / "data/inbox" / dataset, root / raw)
    reference_files = reference_images(root / "data/prepared" / dataset, own.max_samples, params.seed)
    if folder is None and not place.is_dir():  # the inbox comes with its first images
        raise TooFewImages(_few(place, 0, own.min_samples))
    recent_files = recent_images(place, own.max_samples, params.seed)
    if recent_files.found < own.min_samples:
        raise TooFewImages(_few(place, recent_files.found, own.min_samples))
    observer = _observer(own, model, root)
    reference, seen = look(reference_files, observer, "reference"), look(recent_files, observer, "recent images")
    if reference is None or len(reference) < own.min_samples:
        few = 0 if reference is None else len(reference)
        raise UserError(
            f"data/prepared/{dataset}/val: {few} images, monitor.{dataset}.min_samples is {own.min_samples}; "
            "lower it, or give the data set a larger validation split"
        )
    if seen is None or len(seen) < own.min_samples:
        raise TooFewImages(_few(place, 0 if seen is None else len(seen), own.min_samples))
    comparison = compare(reference, seen, observer.classes, own.alpha, own.permutations, params.seed)
    verdict, began = last_verdicts(root).get(dataset), False
    if record:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        check = CheckRecord(dataset, now, comparison.drifting, comparison.p, len(seen), comparison.reason)
        verdict, began = record_check(root, check, own.flag_after, own.clear_after)
    settings = _settings(own, observer, dataset, place, root, (reference_files.found, recent_files.found))
    report = root / "reports/drift" / dataset
    pictures = _write_report(report, dataset, reference, seen, comparison, settings, verdict, root, params.seed)
    return DriftCheck(dataset, comparison, verdict, began, settings, report, pictures)


def _few(place: Path, found: int, needed: int) -> str:
    return f"{place}: {found} readable images, min_samples is {needed}; wait for more, or lower it"


def _observer(own: Monitor, model: str | None, root: Path) -> Observer:
    from sightline.operations.drift.observers import FeaturesObserver, HandmadeObserver, ModelObserver

    name = model or own.model
    if name is not None:
        from sightline.registry.resolving import resolve_model

        return ModelObserver(resolve_model(name, root).folder, name)
    return HandmadeObserver() if own.features is None else FeaturesObserver(root / "data/features" / own.features)


def _settings(
    own: Monitor, observer: Observer, dataset: str, place: Path, root: Path, found: tuple[int, int]
) -> dict[str, str]:
    known = place.resolve()
    shown = known.relative_to(root.resolve()) if known.is_relative_to(root.resolve()) else place
    return {
        "reference": f"data/prepared/{dataset}/val, {found[0]:,} images",
        "recent images": f"{shown}, {found[1]:,} images",
        "features": observer.title,
        "looked at": f"at most {own.max_samples:,} from each side, drawn at random",
        "alpha": f"{own.alpha:g} for all tests together",
        "permutations": f"{own.permutations:,}",
        "drift begins and ends after": f"{own.flag_after} and {own.clear_after} checks in a row",
    }


def _write_report(
    folder: Path,
    dataset: str,
    reference: Seen,
    recent: Seen,
    comparison: Comparison,
    settings: dict[str, str],
    verdict: Verdict | None,
    root: Path,
    seed: int,
) -> list[Path]:
    from sightline.evaluation.report.figures import save_figure
    from sightline.operations.drift.pictures import draw_histograms, draw_map, strange_sheet
    from sightline.operations.pages.drift_page import DriftSources, drift_page

    with new_folder(folder) as work:
        histograms = draw_histograms(reference, recent, comparison)
        if histograms is not None:
            save_figure(histograms, work / "histograms.png")
        save_figure(draw_map(comparison, seed), work / "map.png")
        sheet = work / "strange.png"
        strange_sheet(reference, recent, comparison).save(sheet)
        write_json(work / "drift.json", {"dataset": dataset, **comparison.to_json(), "settings": settings})
        facts, history = list(settings.items()), past_checks(root, dataset)
        sources = DriftSources(dataset, reference, recent, comparison, facts, verdict, history, sheet, seed)
        (work / "index.html").write_text(drift_page(sources), encoding="utf-8")
    return sorted(folder.glob("*.png"))
