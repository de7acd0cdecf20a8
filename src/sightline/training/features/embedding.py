"""Streams images through an extractor into Arrow files; memory does not grow with their number."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from sightline.data.cache import counted, side_by_side
from sightline.data.images import decode, fit, sides
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import FLOAT32, SPLITS, UINT8
from sightline.system.errors import UserError
from sightline.system.files import new_file, new_folder, write_json
from sightline.system.processors import usable_processors
from sightline.training.features.base import Vectors
from sightline.training.features.feature_map import FeatureMap
from sightline.training.features.store import EXTRACTOR, FeatureCard, rows_sha256

_BATCH_PIXELS = 2**20  # of one batch; few enough for the processor's caches, enough that overhead does not show
_SMALLEST, _LARGEST = 16, 256


def embed(features: FeatureMap, prepared: Path, folder: Path) -> FeatureCard:
    """Write the features of every split of a prepared data set, and the extractor; only the train split teaches it.

    Args:
        features: what to find; on return it has learned what it learns.
        prepared: folder of the data set.
        folder: to write, in place of an earlier one.

    Raises:
        UserError: features that are not finite numbers.
    """
    stores = {split: SplitStore(prepared / split) for split in SPLITS}
    labels, train = load_labels(prepared), stores["train"]
    features.extractor.fit(lambda: batches(train, features), len(train), features.settings.seed)
    with new_folder(folder) as work:
        (work / EXTRACTOR).mkdir()
        files = features.write(work / EXTRACTOR)
        for split, store in stores.items():
            embed_split(store, features, work / f"{split}.arrow")
        data = hashlib.sha256((train.digest + labels.sha256).encode()).hexdigest()
        rows = rows_sha256(train.ids, train.labels)
        card = FeatureCard(dict(features.dimensions), labels, rows, data, files, dict(features.maps))
        write_json(work / "features.json", card.to_json())
    return card


def embed_split(store: SplitStore, features: FeatureMap, path: Path) -> None:
    """Write one row per sample: `id`, `label` (-1 for none), and a vector per layer.

    Raises:
        UserError: features that are not finite numbers.
    """
    schema = feature_schema(features.dimensions)
    ids, labels = store.ids, store.labels
    with (
        new_file(path) as work,
        pa.OSFile(str(work), "wb") as file,
        pa.ipc.new_file(file, schema) as out,
        counted(len(store), "embedding") as advance,
    ):
        start = 0
        for images in batches(store, features):
            end = start + len(images)
            vectors = features(images)
            _require_finite(vectors, store, start)
            columns = [pa.array(ids[start:end]), pa.array(labels[start:end].astype(np.int32))]
            columns += [_column(vectors[name]) for name in features.dimensions]
            out.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            advance(end - start)
            start = end


def feature_schema(dimensions: Mapping[str, int]) -> pa.Schema:
    """Return the columns of a file of features."""
    layers = [pa.field(name, pa.list_(pa.float32(), size)) for name, size in dimensions.items()]
    return pa.schema([pa.field("id", pa.string()), pa.field("label", pa.int32()), *layers])


def batches(store: SplitStore, features: FeatureMap) -> Iterator[UINT8]:
    """Yield the images of a split in its order, N x S x S x C.

    With processors to spare they are decoded while the caller computes; on two, that would take from the network's
    threads more than it saves, and each batch is decoded when it is asked for.

    The size of a batch depends on that of an image alone, as the last bits of features may depend on it.
    """
    image = features.settings.input
    height, width = sides(image.extent)
    size = max(_SMALLEST, min(_LARGEST, _BATCH_PIXELS // (height * width)))

    def read(start: int) -> UINT8:
        end = min(start + size, len(store))
        pixels = np.empty((end - start, image.size, image.size, image.channels), np.uint8)

        def one(row: int) -> None:
            decoded = decode(store.image(start + row), image.channels)
            pixels[row] = fit(decoded, image.extent, image.resize, image.interpolation)

        list(side_by_side(one, range(end - start), len(store.image(start)), pool))
        return pixels

    processors, starts = usable_processors(), range(0, len(store), size)
    spare = processors > 2
    with ThreadPoolExecutor(processors // 2 if spare else processors) as pool:
        yield from _ahead(read, starts) if spare else map(read, starts)


def _ahead(read: Callable[[int], UINT8], starts: range) -> Iterator[UINT8]:
    """Yield read(start) in order, with a few of them under way in other threads."""
    threads = 2
    waiting: deque[Future[UINT8]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for start in starts:
            waiting.append(pool.submit(read, start))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _column(vectors: FLOAT32) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _require_finite(vectors: Vectors, store: SplitStore, start: int) -> None:
    for name, own in vectors.items():
        good = np.isfinite(own).all(1)
        if not good.all():
            first = start + int(np.flatnonzero(~good)[0])
            raise UserError(
                f"{store.path}: {store.sources[first]}: features of layer {name} are not finite numbers; "
                "use other weights or another layer"
            )
