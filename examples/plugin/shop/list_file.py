"""The format: a text file with a path and a class per line."""

from pathlib import Path

from PIL import Image

from sightline.data.raw.formats.source import Entry, FileSource, require_root
from sightline.data.structures import LabelMap
from sightline.system.errors import UserError

from .settings import ListFile


def open_list(dataset: ListFile) -> FileSource:
    root = Path(dataset.root)
    require_root(root)
    path = root / dataset.file
    if not path.is_file():
        raise UserError(f"{path}: no such file; write a line `IMAGE CLASS` for each image, or correct `file`")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        image, _, name = line.rpartition(" ")
        if not image:
            raise UserError(f"{path}: line {number}: {line!r}: must be `IMAGE CLASS`")
        pairs.append((image, name))
    classes = tuple(sorted({name for _, name in pairs}))
    entries = [Entry(image, classes.index(name)) for image, name in pairs]
    return FileSource(root, LabelMap(classes, classes), entries)


def write_example(root: Path) -> dict[str, str]:
    """Write six images of two classes; return what the section must have besides `format` and `root`."""
    lines = []
    for number in range(6):
        name = ("dark", "light")[number % 2]
        Image.new("RGB", (16, 16), (200 * (number % 2) + 5 * number,) * 3).save(root / f"{number}.png")
        lines.append(f"{number}.png {name}")
    (root / "own.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"file": "own.txt"}
