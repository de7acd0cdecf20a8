"""The page of one model: its files in, HTML out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sightline.config.metrics import smaller_is_better
from sightline.data.raw.findings import near_copies
from sightline.evaluation.report import read_table
from sightline.operations.pages.advice_section import AdviceSection, advice_section
from sightline.operations.pages.charts import Chart
from sightline.operations.pages.datasets import DataCard, data_card
from sightline.operations.pages.drawings import (
    CHARTS,
    MATRICES,
    evaluation_charts,
    judged_samples,
    matrix_chart,
    quality_chart,
    training_charts,
)
from sightline.operations.pages.explanations import Explanation, read_explanations
from sightline.operations.pages.exports import int8_facts, onnx_facts
from sightline.operations.pages.ladders import RUNGS, ladder_table
from sightline.operations.pages.pictures import Picture, picture
from sightline.operations.pages.rebuilding import Rebuilding, rebuilding
from sightline.operations.pages.rendering import render
from sightline.operations.pages.sources import Sources
from sightline.operations.pages.standing import Standing, history_table, standing_of
from sightline.operations.pages.tables import (
    Cell,
    Matrix,
    Range,
    Table,
    confusion_matrix,
    metrics_table,
    names_table,
    range_cell,
    settings_rows,
    slices_table,
    text_cell,
)
from sightline.operations.pages.times import training_time
from sightline.operations.pages.words import interval, metric_title, metric_words, number, task_words
from sightline.system.words import count_of

_WORST_TOLD = 12  # samples
_NO_ERRORS = "No errors: the least confident images"
_NAMED = {
    "per_class": "class",
    "per_character": "character",
    "per_joint": "joint",
    "per_value": "value",
    "per_size": "size",
    "styles": "style",
}


@dataclass(frozen=True)
class Headline:
    """The metric that the gate judges."""

    title: str
    words: str
    value: str
    interval: str
    confidence: str
    samples: int
    range: Range | None


@dataclass(frozen=True)
class Page:
    """What the template shows; empty parts are left out."""

    name: str
    task: str
    architecture: str
    dataset: str
    headline: Headline
    standing: Standing
    metrics: Table
    matrix: Matrix | None
    charts: list[Chart]
    tables: list[Table]
    slices: Table | None
    worst_slices: list[str]
    styles: Picture | None
    worst: Picture | None
    worst_table: Table | None
    flawless: bool
    quality: Chart | None
    explanations: list[Explanation]
    curves: list[Chart]
    training_words: str
    ladder: Table | None
    settings: list[tuple[str, str]]
    search: Table | None
    data: DataCard | None
    onnx: list[tuple[str, str]]
    int8: list[tuple[str, str]]
    crop: str
    caution: str
    champion: bool
    history: Table | None
    rebuilding: Rebuilding | None
    advice: AdviceSection | None
    sections: list[tuple[str, str]] = field(default_factory=list)


def model_page(sources: Sources) -> str:
    """Return the page of an evaluated model, complete in itself."""
    page = _page(sources)
    page.sections.extend(_sections(page))
    return render("model.html", page=page, title=f"{page.name} · Sightline", home="../index.html")


def _page(sources: Sources) -> Page:
    metrics, folder = sources.metrics(), sources.evaluation
    release = sources.release()
    model = sources.optional(f"models/{sources.name}/model.json") or {}
    settings = sources.optional(f"reports/{sources.name}/training/training.json") or {}
    card = sources.optional(f"data/prepared/{sources.dataset}/card.json") or {}
    ladder = sources.optional(f"reports/{sources.name}/training/ladder.json")
    matrix, charts = _confusion(sources, metrics)
    slices, worst_slices = _slices(sources, metrics)
    judged = judged_samples(folder)
    flawless = judged is not None and not len(judged[2].order)
    worst, styles = folder / "worst.png", folder / "styles.png"
    return Page(
        name=sources.name,
        task=task_words(metrics["task"]),
        architecture=_architecture(model, settings),
        dataset=sources.dataset,
        headline=headline_of(metrics),
        standing=standing_of(sources, release),
        metrics=metrics_table(metrics, len(card.get("classes", []))),
        matrix=matrix,
        charts=[*charts, *evaluation_charts(folder, metrics)],
        tables=_tables(sources),
        slices=slices,
        worst_slices=worst_slices,
        styles=picture(styles, "Test photographs in every style, and in mixes") if styles.is_file() else None,
        worst=picture(worst, "The worst test images, each with its truth and prediction")
        if worst.is_file() and not flawless
        else None,
        flawless=flawless,
        worst_table=_worst_table(*judged) if judged else None,
        quality=quality_chart(*judged[1:]) if judged else None,
        explanations=read_explanations(sources.report / "explanations"),
        curves=training_charts(sources.report / "training" / "curves.csv"),
        training_words=" ".join(filter(None, [_training_words(settings, ladder), training_time(sources)])),
        ladder=ladder_table(ladder) if ladder else None,
        settings=list(settings_rows(settings)),
        search=_search(sources),
        data=data_card(sources.prepared),
        onnx=onnx_facts(metrics.get("onnx")),
        int8=int8_facts(release.int8 if release else None),
        crop=_crop_words(model, metrics.get("crop")),
        caution=near_copies(card),
        champion=any(entry.decision != "refuse" for entry in sources.history),
        history=history_table(sources.history, release.model_md5 if release else None) if sources.history else None,
        rebuilding=rebuilding(sources, release, model),
        advice=advice_section(sources),
    )


def _sections(page: Page) -> list[tuple[str, str]]:
    """Return anchor and title of each part that is there, in its order."""
    parts = [
        ("results", "Results", True),
        ("classes", "By style" if page.styles else "By class", bool(page.tables)),
        ("slices", "By slice", True),
        ("errors", "Least confident images" if page.flawless else "Worst images", bool(page.worst or page.quality)),
        ("explanations", "Explanations", bool(page.explanations)),
        ("advice", "What next", page.advice is not None),
        ("training", "Training", bool(page.settings or page.curves)),
        ("data", "Data", page.data is not None),
        ("use", "Use it", page.champion),
        ("export", "Export", bool(page.onnx or page.int8)),
        ("decisions", "Decisions", page.history is not None),
        ("rebuild", "Rebuild", page.rebuilding is not None),
    ]
    return [(anchor, title) for anchor, title, there in parts if there]


def headline_of(metrics: Mapping[str, Any]) -> Headline:
    """Return the headline metric in words."""
    own = metrics["headline"]
    low, high = own.get("low"), own.get("high")
    confidence = f"{metrics['confidence']:.0%}" if "confidence" in metrics else ""
    return Headline(
        metric_title(own["name"]),
        metric_words(own["name"]),
        number(own["value"]),
        interval(low, high) if low is not None and low != high else "",
        confidence,
        metrics["samples"],
        unit_range(own),
    )


def unit_range(headline: Mapping[str, Any]) -> Range | None:
    """Return a headline on the scale from 0 to 1; None if it is not on it, as decibels are not."""
    value, low, high = (headline.get(name) for name in ("value", "low", "high"))
    if value is None or low is None or high is None or low < 0 or high > 1:
        return None
    return range_cell((low, value, high), (0, 1)).range


def _architecture(model: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    task = model.get("task", {})
    parts = [task.get("architecture") or settings.get("kind", ""), task.get("backbone") or ""]
    return " over ".join(str(part) for part in parts if part)


def _confusion(sources: Sources, metrics: Mapping[str, Any]) -> tuple[Matrix | None, list[Chart]]:
    """Return the confusion as a table, or of many classes as a chart."""
    for name, needed in MATRICES.items():
        path = sources.evaluation / f"{name}.csv"
        if not path.is_file():
            continue
        table = read_table(path, needed)
        if set(needed) <= set(table.columns) and not table.empty:
            matrix = confusion_matrix(table, "samples" if name == "confusion" else name)
            drawn = None if matrix else matrix_chart(sources.evaluation, name, metrics)
            return matrix, [drawn] if drawn else []
    return None, []


def _tables(sources: Sources) -> list[Table]:
    found = []
    for name, column in _NAMED.items():
        path = sources.evaluation / f"{name}.csv"
        table = read_table(path, (column,)) if path.is_file() else pd.DataFrame()
        if column in table and not table.empty:
            found.append(names_table(table, f"Scores by {'key point' if column == 'joint' else column}"))
    return found


def _slices(sources: Sources, metrics: Mapping[str, Any]) -> tuple[Table | None, list[str]]:
    """Return the table of slices, and the worst of them in words."""
    path = sources.evaluation / "slices.csv"
    table = read_table(path, ("column", "value", "verdict")) if path.is_file() else pd.DataFrame()
    if table.empty:
        return None, []
    ascending = not smaller_is_better(metrics["headline"]["name"])
    worse = table[table["verdict"] == "worse"].sort_values("score", ascending=ascending)
    rows = worse[["column", "value", "score", "samples"]].head(3).itertuples(index=False, name=None)
    told = [
        f"{column} {value} ({number(float(score))} on {samples:,} images)" for column, value, score, samples in rows
    ]
    return slices_table(table, metrics["headline"], metrics["confidence"]), told


def _worst_table(rows: pd.DataFrame, quality: Any, worst: Any) -> Table | None:
    right = not len(worst.order)  # a classifier without errors: where it was least sure
    order = (np.argsort(quality.values, kind="stable") if right else worst.order)[:_WORST_TOLD]
    if not len(order):
        return None
    cells = [
        [text_cell(str(rows["source"].iloc[k])), text_cell(str(rows["told"].iloc[k])), _quality(quality, k)]
        for k in order
    ]
    columns = [("image", False), ("truth → prediction", False), (quality.name, True)]
    return Table(_NO_ERRORS if right else worst.title.capitalize(), columns, cells)


def _quality(quality: Any, place: int) -> Cell:
    value = float(quality.values[place])
    return Cell(number(value), value if value == value else -1e300)  # noqa: PLR0124  # NaN


def _training_words(settings: Mapping[str, Any], ladder: Mapping[str, Any] | None) -> str:
    epochs, best = settings.get("epochs_run"), settings.get("best_epoch")
    if epochs is None or best is None:
        return ""
    if ladder:
        return f"Trained in steps; the network of the step “{RUNGS[ladder['kept']]}” was kept."
    return f"{count_of(epochs, 'epoch')}; the weights of epoch {best + 1} were kept."


def _search(sources: Sources) -> Table | None:
    path = sources.report / "training" / "cross_validation.csv"
    return names_table(pd.read_csv(path), "Settings tried by cross-validation on train") if path.is_file() else None


def _crop_words(model: Mapping[str, Any], found: Mapping[str, Any] | None) -> str:
    """Return what the model sees of an image, where that is a crop."""
    if not found or "crop_by" not in model:
        return ""
    none = f"{found['without_box']:,} of {found['images']:,} test images have no such box and are seen as a whole"
    return f"It sees each image cropped to the most confident box of {model['crop_by']['model']}; {none}."


__all__ = ["CHARTS", "Headline", "headline_of", "model_page", "unit_range"]
