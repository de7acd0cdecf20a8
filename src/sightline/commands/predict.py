"""`sightline predict`: a model and image files in; a table, JSON lines, COCO files or pictures out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sightline.system.errors import UserError

if TYPE_CHECKING:
    from sightline.operations.prediction_files.sources import ImageFile
    from sightline.registry.resolving import ResolvedModel

_TOLD = 10  # names of files that are left alone


def predict(
    model: Annotated[str, typer.Argument(help="a model folder, NAME, NAME@champion, NAME/3 or models:/NAME@champion")],
    paths: Annotated[list[str], typer.Argument(help="files, folders, patterns such as 'in/**/*.jpg'; - reads paths")],
    to: Annotated[
        Literal["table", "jsonl", "coco", "pictures", "parquet"],
        typer.Option(help="what to write; parquet: in shards, by several processes, goes on after a kill"),
    ] = "table",
    out: Annotated[
        Path | None, typer.Option(help="the file (table, jsonl), or a new folder (coco, pictures, parquet)")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="images per batch")] = 32,
    engine: Annotated[
        Literal["auto", "torch", "onnx", "int8"], typer.Option(help="what runs the model; int8: model.int8.onnx")
    ] = "auto",
    device: Annotated[str, typer.Option(help="torch device: cpu, cuda, cuda:1, mps")] = "cpu",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="also search subfolders")] = False,
    style: Annotated[
        list[str] | None,
        typer.Option(help="NAME=WEIGHT, may be repeated: a mix of a style network's styles; default: each style alone"),
    ] = None,
    least_score: Annotated[
        float, typer.Option(min=0, max=1, help="lowest score of the objects that are counted and drawn")
    ] = 0.5,
    workers: Annotated[
        str,
        typer.Option(envvar="SIGHTLINE_WORKERS", help="of parquet: local, a process per core, or local:N"),
    ] = "local",
    shard: Annotated[int, typer.Option(min=1, help="images in each file of parquet")] = 2048,
) -> None:
    """Predict image files; bad ones are skipped and named at the end.

    Exit code: 0 if every file was predicted, 2 if some were bad or the arguments are, 3 if no file was good.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sightline.commands.options import pairs
    from sightline.operations.prediction_files.sources import find_images, left_alone
    from sightline.registry.resolving import resolve_model

    # First what takes no time: torch and the model take seconds to load.
    given = (os.fsdecode(line) for line in sys.stdin.buffer) if "-" in paths else ()
    files = find_images(paths, given, recursive)
    if not files:
        raise UserError(f"{' '.join(paths)}: no images there; --recursive also searches subfolders")
    if not any(file.path.exists() for file in files):
        for file in files[:_TOLD]:
            print(f"{file.name}: no such file", file=sys.stderr)
        print(f"{len(files)} of {len(files)} files skipped", file=sys.stderr)
        raise typer.Exit(3)
    found = resolve_model(model, Path())
    if to == "parquet":
        _in_shards(found, files, out, workers, engine, batch_size, shard, device, style)
        return
    from sightline.evaluation.lanes import threads_each, worthwhile_lanes
    from sightline.evaluation.predictor import load_predictor
    from sightline.models.style.mixes import mix_of
    from sightline.operations.prediction_files.run import predict_files
    from sightline.operations.prediction_files.writers import open_writer

    lanes = worthwhile_lanes(found.folder, engine, device) if len(files) > batch_size else 1
    predictor = load_predictor(found.folder, device, engine, threads_each(lanes))
    mixes = mix_of(predictor.task.styles, pairs("style", style) or {}) if style else None
    console = Console(stderr=True, highlight=False, markup=False)
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        open_writer(to, out, predictor.card.labels, least_score) as writer,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("", total=len(files))
        finished = predict_files(
            predictor, files, writer, batch_size, lambda count: progress.advance(bar, count), mixes, lanes
        )
    for name, reason in finished.bad:
        console.print(f"{name}: {reason}", soft_wrap=True)
    if finished.bad:
        console.print(f"{len(finished.bad)} of {len(files)} files skipped")
    if others := left_alone(paths, recursive):
        some = ", ".join(others[:_TOLD]) + (", ..." if len(others) > _TOLD else "")
        console.print(f"{len(others)} file(s) ignored, without the suffix of an image: {some}", soft_wrap=True)
    if finished.exit_code:
        raise typer.Exit(finished.exit_code)


def _in_shards(
    model: ResolvedModel,
    files: Sequence[ImageFile],
    out: Path | None,
    workers: str,
    engine: str,
    batch_size: int,
    shard: int,
    device: str,
    style: list[str] | None,
) -> None:
    """Predict files in shards, and say what came of it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from sightline.operations.prediction_files.shards import predict_in_shards, problems_of
    from sightline.system.shards.engines import engine_of

    if out is None:
        raise UserError("--to parquet: writes a folder; give one with --out")
    if device != "cpu" or style:
        raise UserError(f"--to parquet: {'--style' if style else f'--device {device}'} is not possible; use --to jsonl")
    console = Console(stderr=True, highlight=False, markup=False)
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(files))
        done = predict_in_shards(
            model,
            files,
            out,
            engine_of(workers),
            engine=engine,
            batch_size=batch_size,
            shard=shard,
            advance=lambda count: progress.advance(bar, count),
        )
    kept = f", {done['kept']} of them were there already" if done["kept"] else ""
    print(f"{out}: {done['images']} images in {done['shards']} shards{kept}")
    if done["problems"]:
        for name, reason in problems_of(out, _TOLD):
            console.print(f"{name}: {reason}", soft_wrap=True)
        console.print(f"{done['problems']} of {done['images']} files skipped")
        raise typer.Exit(2 if done["problems"] < done["images"] else 3)
