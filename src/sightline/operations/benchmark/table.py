"""A benchmark as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from sightline.operations.benchmark.measuring import Row


def benchmark_table(rows: Sequence[Row]) -> Table:
    """Return a line per row, with the speed of each relative to torch with the same threads and batch."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("engine")
    for title in ("threads", "batch", "p50 ms", "p99 ms", "images/s", "over torch", "MB"):
        table.add_column(title, justify="right")
    torch = {(row.threads, row.batch): row.latency_ms for row in rows if row.engine == "torch"}
    for row in rows:
        base = torch.get((row.threads, row.batch))
        speed = "" if base is None else f"{base / row.latency_ms:.2f}"
        figures = (f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}", f"{row.images_per_s:.1f}", speed, f"{row.size_mb:.2f}")
        table.add_row(row.engine, str(row.threads), str(row.batch), *figures)
    return table
