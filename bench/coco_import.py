"""Import of a large COCO file against other libraries: `python -m bench.coco_import`.

The file lists 100,000 images with 7 boxes each, as many as COCO's own. The images are one small JPEG, linked as often,
for the import looks for every file and decodes none. Ours reads the JSON, checks every entry, finds every file and
joins images and annotations (`open_source`). pycocotools makes its index and an array of boxes per image, looks for no
file and checks nothing: it is told to see what checks cost. Libraries that are not installed have no figure.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from bench.images import write_photographs
from bench.machine import installed
from bench.pairs import take_turns, timed
from bench.report import Report, parsed, parser
from sightline.config.datasets import Coco
from sightline.data.raw.formats import open_source

BOXES, CLASSES = 7, 80
IMAGES = "100,000 images"


def write_coco(root: Path, count: int) -> None:
    """Write `annotations.json` and `images/` with `count` names of one JPEG, in folders of 1,000."""
    write_photographs(root / "one", 1, 1)
    [photograph] = (root / "one").rglob("*.jpg")
    generator = np.random.default_rng(0)
    names = [f"{number // 1000:03d}/{number:06d}.jpg" for number in range(count)]
    for name in names:
        path = root / "images" / name
        if not path.parent.exists():  # a copy of its own, as file systems bound the links to a file: ext4 at 65,000
            path.parent.mkdir(parents=True)
            first = shutil.copy(photograph, path)
        else:
            os.link(first, path)
    corners = generator.uniform(0, 200, (count * BOXES, 2)).round(2).tolist()
    sides = generator.uniform(5, 80, (count * BOXES, 2)).round(2).tolist()
    labels = generator.integers(1, CLASSES + 1, count * BOXES).tolist()
    annotations = [
        {
            "id": number + 1,
            "image_id": number // BOXES + 1,
            "category_id": labels[number],
            "bbox": [*corners[number], *sides[number]],
            "area": round(sides[number][0] * sides[number][1], 2),
            "iscrowd": 0,
        }
        for number in range(count * BOXES)
    ]
    images = [{"id": number + 1, "file_name": name, "height": 300, "width": 400} for number, name in enumerate(names)]
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, CLASSES + 1)]
    values = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(values), encoding="utf-8")


def ours(root: Path) -> int:
    """Return the number of images."""
    return len(open_source(Coco(format="coco", root=str(root))))


def by_pycocotools(root: Path) -> int:
    """Make the index, and an array of boxes and one of labels per image."""
    from pycocotools.coco import COCO

    with redirect_stdout(StringIO()):
        coco = COCO(str(root / "annotations.json"))
    found = [coco.imgToAnns[number] for number in coco.getImgIds()]
    boxes = [np.array([one["bbox"] for one in own], np.float32).reshape(-1, 4) for own in found]
    labels = [np.array([one["category_id"] for one in own]) for own in found]
    return len(list(zip(boxes, labels, strict=True)))


def by_supervision(root: Path) -> int:
    """Import as its documentation shows."""
    import supervision  # type: ignore[import-not-found, unused-ignore]

    path = str(root / "annotations.json")
    return len(supervision.DetectionDataset.from_coco(str(root / "images"), path))


def by_fiftyone(root: Path) -> int:
    """Import as its documentation shows, into its database, and delete that data set again."""
    import fiftyone  # type: ignore[import-not-found, unused-ignore]

    data: Any = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(root / "images"),
        labels_path=str(root / "annotations.json"),
        progress=False,
    )
    count = len(data)
    data.delete()
    return count


REFERENCES: Mapping[str, Callable[[Path], int]] = {
    "supervision": by_supervision,
    "fiftyone": by_fiftyone,
    "pycocotools": by_pycocotools,
}


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    own.add_argument("--images", type=int, default=100_000)
    options = parsed(own, argv)
    if options.quick:
        options.images = 200
    report = Report("coco_import", options)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_coco(root, options.images)
        there = {name: read for name, read in REFERENCES.items() if installed(name)}
        for read in (ours, *there.values()):
            assert read(root) == options.images
        runs = {name: timed(lambda read=read: read(root)) for name, read in {"ours": ours, **there}.items()}  # type: ignore[misc]
        taken = take_turns(runs, options.pairs, warm_up=0)
    for name in REFERENCES:
        case = report.case(IMAGES, "FiftyOne" if name == "fiftyone" else name)
        if name in taken:
            report.add(case, taken["ours"], taken[name], images=options.images)
        else:
            report.lacks(case, "not installed")
    report.finish()


if __name__ == "__main__":
    main()
