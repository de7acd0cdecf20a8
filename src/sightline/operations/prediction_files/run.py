"""Predicts files batch by batch: only a few batches of images are in memory at a time, and a bad file stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sightline.data.image_formats import OtherFormat, require_whole
from sightline.data.images import Placement
from sightline.data.structures import FLOAT32, UINT8, Prediction
from sightline.operations.prediction_files.lanes import Lanes
from sightline.operations.prediction_files.sources import ImageFile

if TYPE_CHECKING:
    from sightline.evaluation.predictor import Predictor
    from sightline.operations.prediction_files.writers import Writer


@dataclass(frozen=True)
class _Read:
    encoded: bytes
    pixels: UINT8
    placement: Placement


_Predicted = tuple[ImageFile, _Read | str, Prediction | None]


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
    lanes: int = 1,
) -> Finished:
    """Predict files and hand each prediction to the writer, in their order.

    Args:
        predictor: of the model.
        files: to read.
        writer: gets every good one.
        batch_size: images that are predicted together; one where they are seen in tiles.
        advance: called after each batch with its number of files.
        mixes: as in `Predictor.predictions`.
        lanes: batches that are worked on at the same time, as `worthwhile_lanes` returns.
    """
    finished = Finished()
    batch_size = predictor.sight.at_once(batch_size)
    batches = (files[start : start + batch_size] for start in range(0, len(files), batch_size))
    with Lanes(lanes) as own:
        work = _Work(predictor, mixes, own)
        for batch in own.in_order(work.predicted, batches):
            for file, read, prediction in batch:
                if isinstance(read, str) or prediction is None:
                    finished.bad.append((file.name, str(read)))
                else:
                    size = (read.placement.height, read.placement.width)
                    writer.add(file, read.encoded, size, prediction.as_answer())
                    finished.good += 1
            advance(len(batch))
    return finished


@dataclass(frozen=True)
class _Work:
    """What is done with each batch, in whichever lane."""

    predictor: Predictor
    mixes: FLOAT32 | None
    lanes: Lanes

    def predicted(self, batch: Sequence[ImageFile]) -> list[_Predicted]:
        """Return each file, what was read of it, and the prediction for it if it could be read."""
        reads = list(self.lanes.side_by_side(lambda file: _read(file, self.predictor), batch))
        good = [read for read in reads if not isinstance(read, str)]
        if not good:
            return [(file, read, None) for file, read in zip(batch, reads, strict=True)]
        pixels, placements = [read.pixels for read in good], [read.placement for read in good]
        predictions = iter(self.predictor.predict_pixels(pixels, placements, self.mixes))
        return [
            (file, read, None if isinstance(read, str) else next(predictions))
            for file, read in zip(batch, reads, strict=True)
        ]


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
