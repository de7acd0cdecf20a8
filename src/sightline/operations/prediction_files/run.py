"""Predicts files batch by batch: only one batch of images is in memory at a time, and a bad file stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sightline.data.image_formats import OtherFormat, require_whole
from sightline.data.images import Placement
from sightline.data.structures import FLOAT32, UINT8
from sightline.operations.prediction_files.sources import ImageFile
from sightline.system.processors import usable_processors

if TYPE_CHECKING:
    from sightline.evaluation.predictor import Predictor
    from sightline.operations.prediction_files.writers import Writer


@dataclass(frozen=True)
class _Read:
    encoded: bytes
    pixels: UINT8
    placement: Placement


@dataclass
class Finished:
    """What became of the files.

    Attributes:
        good: number of images with a prediction.
        bad: name and reason of each file without one.
    """

    good: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if every file has a prediction, 2 if some have none, 3 if none has one."""
        return 0 if not self.bad and self.good else 2 if self.good else 3


def predict_files(
    predictor: Predictor,
    files: Sequence[ImageFile],
    writer: Writer,
    batch_size: int,
    advance: Callable[[int], None] = lambda count: None,
    mixes: FLOAT32 | None = None,
) -> Finished:
    """Predict files and hand each prediction to the writer, in their order.

    Args:
        predictor: of the model.
        files: to read.
        writer: gets every good one.
        batch_size: images that are in memory together; one where they are seen in tiles.
        advance: called after each batch with its number of files.
        mixes: as in `Predictor.predictions`.
    """
    finished = Finished()
    batch_size = predictor.sight.at_once(batch_size)
    with ThreadPoolExecutor(usable_processors()) as pool:
        for start in range(0, len(files), batch_size):
            batch = files[start : start + batch_size]
            good: list[tuple[ImageFile, _Read]] = []
            for file, read in zip(batch, pool.map(lambda own: _read(own, predictor), batch), strict=True):
                if isinstance(read, str):
                    finished.bad.append((file.name, read))
                else:
                    good.append((file, read))
            if good:
                pixels = [read.pixels for _, read in good]
                predictions = predictor.predict_pixels(pixels, [read.placement for _, read in good], mixes)
                for (file, read), prediction in zip(good, predictions, strict=True):
                    size = (read.placement.height, read.placement.width)
                    writer.add(file, read.encoded, size, prediction.as_answer())
                finished.good += len(good)
            advance(len(batch))
    return finished


def _read(file: ImageFile, predictor: Predictor) -> _Read | str:
    """Return an image as the model sees it, or why it cannot be read, as in `prepare`."""
    try:
        encoded = file.path.read_bytes()
        if not encoded:
            return "empty file; copy it again"
        require_whole(encoded)
        pixels, placement = predictor.seen_alone(encoded)
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return error.strerror or type(error).__name__
    except OtherFormat as error:
        return f"{error}; convert it to PNG or JPEG"
    except (ValueError, MemoryError) as error:
        return str(error) or "needs too much memory"
    return _Read(encoded, pixels, placement)
