"""`sightline benchmark`: how fast a model is on this machine."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sightline.commands.options import ModelName

_MOST_IMAGES, _MOST_THREADS = 4096, 256


def benchmark(
    name: ModelName,
    batches: Annotated[str, typer.Option(help="numbers of images at once, such as 1,8,32")] = "1,8,32",
    threads: Annotated[str, typer.Option(help="numbers of threads, such as 1,2")] = "1",
) -> None:
    """Time a model with torch, ONNX Runtime and, if it has that, in int8; write table and picture below reports/."""
    import pandas as pd
    from rich.console import Console

    from sightline.commands.options import whole_numbers
    from sightline.config import load_params
    from sightline.operations.benchmark import benchmark_model, benchmark_table, draw_pareto, scores_of
    from sightline.operations.benchmark.scores import FOLDER, others
    from sightline.system.files import new_folder, write_json
    from sightline.system.processors import processor_name

    sizes = whole_numbers("batches", batches, _MOST_IMAGES)
    counts = whole_numbers("threads", threads, _MOST_THREADS)
    params = load_params(Path("params.yaml"), policies=False)
    dataset = params.dataset_of(name)
    rows = list(
        benchmark_model(
            Path("models", name),
            Path("data/prepared", dataset),
            sizes,
            counts,
            lambda line: print(f"timing {name}: {line}", file=sys.stderr),  # nothing that moves: it would be timed too
        )
    )
    scores = scores_of(Path(), name)
    told = {
        "model": name,
        "dataset": dataset,
        "machine": f"{processor_name()}, {platform.system()}",
        "rows": [asdict(row) for row in rows],
        "metric": scores.metric if scores else None,
        "split": scores.split if scores else None,
        "scores": scores.of if scores else {},
    }
    with new_folder(Path("reports", name, FOLDER)) as folder:
        write_json(folder / "benchmark.json", told)
        pd.DataFrame(told["rows"]).to_csv(folder / "benchmark.csv", index=False, float_format="%.6g")
        if scores:
            draw_pareto(told, others(Path(), name, told), folder / "pareto.png")
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(benchmark_table(rows))
    written = "benchmark.json, benchmark.csv" + (", pareto.png" if scores else "; no picture, as it has no score yet")
    print(f"reports/{name}/{FOLDER}: {written}")
