"""Some samples of a prepared data set, as a separate prepared data set."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sightline.system.errors import UserError


def write_subset(prepared: Path, ids: Collection[str], folder: Path, split: str = "test") -> None:
    """Write label map and a split of `prepared` to a new `folder`, as its test split, with the samples `ids` alone.

    Raises:
        UserError: a sample is missing.
    """
    (folder / "test").mkdir(parents=True)
    shutil.copyfile(prepared / "labels.json", folder / "labels.json")
    wanted, found = pa.array(sorted(ids), pa.string()), 0
    for file in sorted((prepared / split).glob("*.arrow")):
        with pa.memory_map(str(file)) as source:
            batch = pa.ipc.open_file(source).get_batch(0)
            part = batch.filter(pc.is_in(batch.column("id"), value_set=wanted))
            if part.num_rows:
                with (
                    pa.OSFile(str(folder / "test" / file.name), "wb") as sink,
                    pa.ipc.new_file(sink, part.schema) as out,
                ):
                    out.write_batch(part)
            found += part.num_rows
    if found != len(wanted):
        raise UserError(f"{prepared}: holds {found} of the {len(wanted)} evaluated {split} samples; run `dvc repro`")
