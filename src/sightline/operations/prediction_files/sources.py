"""Which images a user means: files, folders, patterns, and paths read from a stream."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.data.raw.formats.source import is_image
from sightline.data.raw.names import printable


@dataclass(frozen=True)
class ImageFile:
    r"""An image to predict.

    Attributes:
        path: of the file, which may turn out not to be there or no image.
        name: `/`-separated, how results call it: the path as it was given, below a given folder with that folder;
            bytes that are not UTF-8 as `\xe9`.
        output: the path below a folder of results: below the folder that was given, or the file's name alone.
    """

    path: Path
    name: str
    output: str


def find_images(arguments: Sequence[str], lines: Iterable[str], recursive: bool) -> list[ImageFile]:
    """Return every image that is meant, each once, in the order of the arguments and sorted within each.

    Args:
        arguments: files (regardless of their suffix), folders, patterns such as `data/**/*.jpg`, or `-`.
        lines: paths, one a line, that take the place of `-`.
        recursive: whether folders within folders are searched too. Hidden files are left out.
    """
    named = [line.rstrip("\r\n") for line in lines if line.strip()] if "-" in arguments else []
    texts = [text for argument in arguments for text in (named if argument == "-" else [argument])]
    found: dict[Path, ImageFile] = {}
    for text in texts:
        for image in _meant(text, recursive):
            found.setdefault(image.path.absolute(), image)
    return list(found.values())


def left_alone(arguments: Sequence[str], recursive: bool) -> list[str]:
    """Return the files in the given folders that `find_images` leaves out, as they are not named like images."""
    folders = [path for path in map(Path, arguments) if path.is_dir()]
    names = (below.as_posix() for folder in folders for below in _files(folder, recursive) if not is_image(below.name))
    return [printable(name) for name in names]


def _meant(text: str, recursive: bool) -> Iterator[ImageFile]:
    path = Path(text)
    if path.is_dir():
        for below in _files(path, recursive):
            if is_image(below.name):
                yield _image(below, below.as_posix(), below.relative_to(path).as_posix())
    elif not path.exists() and glob.has_magic(text):
        matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 - also absolute ones
        yield from (_image(match, match.as_posix(), match.name) for match in matches if match.is_file())
        if not matches:
            yield _image(path, text, path.name)
    else:
        yield _image(path, path.as_posix(), path.name)


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield the visible files below a folder, sorted."""
    for below in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        if not any(part.startswith(".") for part in below.relative_to(folder).parts) and below.is_file():
            yield below


def _image(path: Path, name: str, output: str) -> ImageFile:
    return ImageFile(path, printable(name), printable(output))
