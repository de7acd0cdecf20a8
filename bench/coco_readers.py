"""One import of a COCO file in a process of its own: `python -P bench/coco_readers.py NAME FEW ROOT`.

It imports nothing of this project but for ours, so it also runs in an environment that has one of the other libraries
alone. What is printed are the seconds of the import of ROOT; FEW, a small set, is imported before, as libraries load
parts of themselves, or start a database, when they are first used.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np


def sightline(root: Path) -> tuple[int, int]:
    """Open, and make an array of boxes and one of labels per image, as the others have them."""
    from sightline.config.datasets import Coco
    from sightline.data.raw.formats import open_source
    from sightline.data.raw.formats.annotated import AnnotatedSource

    source = open_source(Coco(format="coco", root=str(root)))
    assert isinstance(source, AnnotatedSource)
    own = [entry.annotations for entry in source.entries]
    boxes = [np.array([one.box for one in each], np.float32).reshape(-1, 4) for each in own]
    labels = [np.array([one.label for one in each], np.int64) for each in own]
    return len(list(zip(boxes, labels, strict=True))), sum(map(len, boxes))


def pycocotools(root: Path) -> tuple[int, int]:
    """Make the index, and an array of boxes and one of labels per image."""
    from pycocotools.coco import COCO

    with redirect_stdout(StringIO()):
        coco = COCO(str(root / "annotations.json"))
    found = [coco.imgToAnns[number] for number in coco.getImgIds()]
    boxes = [np.array([one["bbox"] for one in own], np.float32).reshape(-1, 4) for own in found]
    labels = [np.array([one["category_id"] for one in own], np.int64) for own in found]
    return len(list(zip(boxes, labels, strict=True))), sum(map(len, boxes))


def supervision(root: Path) -> tuple[int, int]:
    """Import as its documentation shows; it reads no image, but resolves each path."""
    import supervision as library  # type: ignore[import-not-found, unused-ignore]

    data: Any = library.DetectionDataset.from_coco(str(root / "images"), str(root / "annotations.json"))
    return len(data), sum(map(len, data.annotations.values()))


def fiftyone(root: Path) -> tuple[int, int]:
    """Import as its documentation shows, into its database; it reads no image."""
    import fiftyone as library  # type: ignore[import-not-found, unused-ignore]

    data: Any = library.Dataset.from_dir(
        dataset_type=library.types.COCODetectionDataset,
        data_path=str(root / "images"),
        labels_path=str(root / "annotations.json"),
        progress=False,
    )
    return len(data), int(data.count("detections.detections"))


READERS: Mapping[str, Callable[[Path], tuple[int, int]]] = {
    own.__name__: own for own in (sightline, supervision, fiftyone, pycocotools)
}


def main() -> None:
    name, few, root = sys.argv[1:]
    os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_DATABASE_DIR": str(Path(few, "database"))}
    read = READERS[name]
    if read is sightline:
        from sightline.pipeline.process import set_up_process

        set_up_process()
    read(Path(few))
    gc.collect()
    began = time.perf_counter()
    images, boxes = read(Path(root))
    seconds = time.perf_counter() - began
    told = {"seconds": seconds, "images": images, "boxes": boxes, "version": version(name)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
