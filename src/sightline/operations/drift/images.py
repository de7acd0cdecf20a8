"""Where the two samples come from: the validation split of a prepared data set, and files of recent images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from numpy.random import Generator, Philox

from sightline.data.raw.formats.batches import BATCHES
from sightline.data.raw.formats.source import is_image
from sightline.data.raw.names import printable
from sightline.data.store import SplitStore
from sightline.system.errors import UserError


@dataclass(frozen=True)
class Images:
    """Encoded images, each read when it is asked for.

    Attributes:
        names: of the images.
        read: returns the encoded bytes by number.
        found: how many there are, of which `names` are a random part.
    """

    names: list[str]
    read: Callable[[int], bytes | memoryview]
    found: int

    def __len__(self) -> int:
        return len(self.names)


def reference_images(prepared: Path, most: int, seed: int) -> Images:
    """Return at most `most` images of the validation split of a prepared data set.

    Not of the training split: for a network that has memorized its training images all others are new.

    Raises:
        UserError: the data set is not prepared.
    """
    store = SplitStore(prepared / "val")
    chosen = _drawn(len(store), most, seed)
    return Images([store.sources[place] for place in chosen], lambda number: store.image(chosen[number]), len(store))


def recent_images(folder: Path, most: int, seed: int) -> Images:
    """Return at most `most` image files of a folder and those in it; hidden ones are left out.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; put recent images there, or name another one with --recent")
    files = image_files(folder)
    chosen = [files[place] for place in _drawn(len(files), most, seed)]
    names = [printable(file.relative_to(folder).as_posix()) for file in chosen]
    return Images(names, lambda number: chosen[number].read_bytes(), len(files))


def recent_folder(inbox: Path, root: Path) -> Path:
    """Return the inbox if it holds images, else the newest batch below the root, else the inbox."""
    if inbox.is_dir() and image_files(inbox):
        return inbox
    batches = [path for path in sorted((root / BATCHES).glob("*")) if path.is_dir() and not path.name.startswith(".")]
    return batches[-1] if batches else inbox  # their names begin with the day


def image_files(folder: Path) -> list[Path]:
    """Return the files that are images by their suffix, in and below a folder, sorted, hidden ones left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if is_image(path.name)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]


def _drawn(count: int, most: int, seed: int) -> list[int]:
    """Return all numbers below `count`, or `most` of them at random, ascending."""
    if count <= most:
        return list(range(count))
    return sorted(Generator(Philox(seed)).choice(count, most, replace=False).tolist())
