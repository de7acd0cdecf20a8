"""Import of a large COCO file against other libraries: `python -m bench.coco_import --peers OTHER/bin/python`.

The file lists 100,000 images with 7 boxes each, as many as COCO's own. The images are one small JPEG, linked as often;
no library reads them. Ours reads the JSON, checks every entry, looks whether the files are there and joins images and
annotations (`open_source`), and makes an array of boxes and one of labels per image, which supervision has too.
FiftyOne writes all to its database, which takes so long that it is given 2,000 images. pycocotools makes its index and
the same arrays, looks for no file and checks nothing: it is told to see what checks cost. Each import is a process of
its own (`bench/coco_readers.py`), where a small one comes before. supervision and FiftyOne are not among the
dependencies: `--peers`, or the variable BENCH_PEERS, names the Python of an environment that has them; without it they
have no figure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.images import write_photographs
from bench.machine import installed
from bench.pairs import Run, take_turns
from bench.report import Report, parsed, parser

BOXES, CLASSES = 7, 80
FEW = 200
SIZES = {"100,000 images": 100_000, "2,000 images": 2_000}
ALL, SOME = SIZES
OURS = "sightline"
REFERENCES = {"supervision": ("supervision", ALL), "fiftyone": ("FiftyOne", SOME), "pycocotools": ("pycocotools", ALL)}


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


def imported(name: str, interpreter: str, few: Path, root: Path) -> dict[str, Any]:
    """Return the seconds of one import, the numbers of images and boxes, and the library's version."""
    command = [interpreter, "-P", str(Path(__file__).with_name("coco_readers.py")), name, str(few), str(root)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return cast(dict[str, Any], json.loads(out.splitlines()[-1]))


def _has(interpreter: str, library: str) -> bool:
    """Tell whether another environment has a library."""
    told = f"from importlib.metadata import version; version({library!r})"
    return not subprocess.run([interpreter, "-c", told], check=False, stderr=subprocess.DEVNULL).returncode


def compare(report: Report, count: int, references: Mapping[str, str], case: str) -> None:
    """Report ours against some libraries; `references` names the interpreter of each that is there."""
    wanted = [name for name, (_, size) in REFERENCES.items() if size == case]
    where = {OURS: sys.executable, **{name: references[name] for name in wanted if name in references}}
    taken: dict[str, list[float]] = {}
    if len(where) > 1:
        with tempfile.TemporaryDirectory() as folder:
            few, root = Path(folder, "few"), Path(folder, "all")
            write_coco(few, FEW)
            write_coco(root, count)
            first = {
                name: imported(name, python, few, root) for name, python in where.items()
            }  # fills the disk's cache
            for name, found in first.items():
                assert (found["images"], found["boxes"]) == (count, count * BOXES), name
            runs: dict[str, Run] = {
                name: partial(lambda *given: float(imported(*given)["seconds"]), name, python, few, root)
                for name, python in where.items()
            }
            taken = take_turns(runs, report.options.pairs, warm_up=0)
    for name in wanted:
        own = report.case(case, REFERENCES[name][0])
        if name in taken:
            report.add(own, taken[OURS], taken[name], images=count, version=first[name]["version"])
        else:
            report.lacks(own, "not installed")


def main(argv: Sequence[str] | None = None) -> None:
    own = parser(__doc__, 5)
    told = "Python of another environment, for libraries that this one lacks; default $BENCH_PEERS"
    own.add_argument("--peers", default=os.environ.get("BENCH_PEERS"), help=told)
    options = parsed(own, argv)
    report, where = Report("coco_import", options), dict[str, str]()
    for name in REFERENCES:
        if installed(name):
            where[name] = sys.executable
        elif options.peers and _has(options.peers, name):
            where[name] = options.peers
    for case, count in SIZES.items():
        compare(report, FEW if options.quick else count, where, case)
    report.finish()


if __name__ == "__main__":
    main()
