"""From a prepared data set to files of vectors, and back."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sightline.config.features import Features
from sightline.data.cache import decoded
from sightline.data.store import SplitStore
from sightline.data.structures import UINT8
from sightline.system.errors import UserError
from sightline.training.features import embedding
from sightline.training.features.base import Extractor, Vectors
from sightline.training.features.building import build_features, read_features
from sightline.training.features.embedding import embed, embed_split
from sightline.training.features.feature_map import FeatureMap
from sightline.training.features.settings import Settings
from sightline.training.features.store import read_feature_card, read_table, rows_sha256

HANDMADE: dict[str, dict[str, Any]] = {
    "pixels": {},
    "gabor": {"orientations": 4},
    "hog": {"cell": 4},
    "visual_words": {"words": 20, "descriptors": 2000, "weighting": "tf_idf"},
    "structure": {},
    "hmax": {"prototypes": 15, "orientations": 4},
}


def section(kind: str, **options: Any) -> Features:
    values = {"dataset": "digits", "input": {"size": 16, "channels": 1}, **options}
    return Features.model_validate({**values, "extractor": {"kind": kind, **HANDMADE[kind]}})


@pytest.mark.parametrize("kind", list(HANDMADE))
def test_every_extractor_is_written_and_read(kind: str, digits: Path, tmp_path: Path) -> None:
    features = build_features(section(kind), 1)
    card = embed(features, digits, tmp_path / "made")
    assert read_feature_card(tmp_path / "made") == card
    again = read_features(tmp_path / "made" / "extractor")
    for split in ("train", "val", "test"):
        store, table = SplitStore(digits / split), read_table(tmp_path / "made", split, [kind])  # type: ignore[arg-type]
        assert (table.ids, table.labels.tolist()) == (store.ids, store.labels.tolist())
        assert table.vectors.dtype == np.float32
        pixels, _ = decoded([store.image(index) for index in range(len(store))], 16, 1, "letterbox")
        np.testing.assert_allclose(again(pixels)[kind], table.vectors, atol=1e-6)
    assert card.train_sha256 == rows_sha256(SplitStore(digits / "train").ids, SplitStore(digits / "train").labels)
    other = build_features(section(kind), 1)
    embed(other, digits, tmp_path / "twice")
    for path in sorted((tmp_path / "made").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "twice" / path.relative_to(tmp_path / "made")).read_bytes()


def test_what_is_learned_comes_from_train_alone(digits: Path, tmp_path: Path) -> None:
    changed = tmp_path / "digits"
    shutil.copytree(digits, changed)
    shutil.rmtree(changed / "test")
    shutil.copytree(changed / "val", changed / "test")
    for name, prepared in (("one", digits), ("two", changed)):
        embed(build_features(section("visual_words"), 1), prepared, tmp_path / name)
    for file in ("train.arrow", "val.arrow", "features.json", "extractor/vocabulary.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert (tmp_path / "one/test.arrow").read_bytes() != (tmp_path / "two/test.arrow").read_bytes()


def test_the_size_of_batches_changes_nothing_but_the_files_layout(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, store = build_features(section("hog"), 1), SplitStore(digits / "val")
    tables = []
    for most in (256, 7):
        monkeypatch.setattr(embedding, "_LARGEST", most)
        monkeypatch.setattr(embedding, "_SMALLEST", 1)
        embed_split(store, features, tmp_path / "val.arrow")
        tables.append(read_table(tmp_path, "val", ["hog"]))
    assert tables[0].ids == tables[1].ids
    np.testing.assert_array_equal(tables[0].vectors, tables[1].vectors)
    assert pa.ipc.open_file(str(tmp_path / "val.arrow")).num_record_batches > 30


def test_a_broken_image_ends_it_and_leaves_no_file(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, store = build_features(section("pixels"), 1), SplitStore(digits / "val")
    monkeypatch.setattr(SplitStore, "image", lambda self, index: memoryview(b"no image"))
    with pytest.raises(ValueError, match=r"PNG that cannot be decoded|not an image"):
        embed_split(store, features, tmp_path / "val.arrow")
    assert list(tmp_path.iterdir()) == []


class Broken(Extractor):
    def __init__(self) -> None:
        self.dimensions = {"pixels": 2}

    def __call__(self, images: UINT8) -> Vectors:
        found = np.ones((len(images), 2), np.float32)
        found[2, 1] = np.nan
        return {"pixels": found}


def test_features_that_are_no_numbers_are_told_with_their_image(digits: Path, tmp_path: Path) -> None:
    own = section("pixels")
    assert own.input is not None
    features = FeatureMap(Settings(own.extractor, own.input, [], "one", 0), Broken())
    store = SplitStore(digits / "val")
    with pytest.raises(UserError, match=rf"{store.sources[2]}: features of layer pixels are not finite"):
        embed_split(store, features, tmp_path / "val.arrow")


@pytest.mark.parametrize("views", ["tencrop", {"policy": "light", "copies": 3}])
def test_views_are_averaged_and_the_same_every_time(views: Any, digits: Path) -> None:
    store = SplitStore(digits / "val")
    pixels, _ = decoded([store.image(index) for index in range(6)], 16, 1, "letterbox")
    plain, several = build_features(section("pixels"), 1), build_features(section("pixels", views=views), 1)
    once, found = plain(pixels)["pixels"], several(pixels)["pixels"]
    assert found.shape == once.shape
    assert not np.allclose(found, once)
    np.testing.assert_array_equal(several(pixels)["pixels"], found)
    # A view does not depend on the images beside it.
    np.testing.assert_allclose(several(pixels[3:4])["pixels"][0], found[3], atol=1e-6)
    if views == "tencrop":
        from sightline.data.vary.policies import ten_crops

        by_hand = ten_crops(pixels[0]).reshape(10, -1).mean(0) / 255
        np.testing.assert_allclose(found[0], by_hand, atol=1e-5)
    else:
        assert not np.array_equal(build_features(section("pixels", views=views), 2)(pixels)["pixels"], found)


def test_normalised_vectors_have_length_one(digits: Path, tmp_path: Path) -> None:
    embed(build_features(section("hog", normalize=["signed_sqrt", "l2"]), 1), digits, tmp_path / "hog")
    lengths = np.linalg.norm(read_table(tmp_path / "hog", "train", ["hog"]).vectors, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_what_is_wrong_with_a_folder_is_told(digits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hog"
    with pytest.raises(UserError, match=r"hog: no features there; run dvc repro embed@hog"):
        read_feature_card(folder)
    embed(build_features(section("hog"), 1), digits, folder)
    with pytest.raises(UserError, match=r"has no layer hug \(did you mean hog\?\); it has hog"):
        read_table(folder, "train", ["hug"])
    (folder / "train.arrow").write_bytes(b"ARROW1")
    with pytest.raises(UserError, match=r"train.arrow: missing or damaged .* run dvc repro embed@hog"):
        read_table(folder, "train", ["hog"])
    text = (folder / "features.json").read_text()
    (folder / "features.json").write_text(text.replace('"0",', '"zero",', 1))
    with pytest.raises(UserError, match=r"features.json: damaged or changed by hand"):
        read_feature_card(folder)
    (folder / "extractor" / "extractor.json").unlink()
    with pytest.raises(UserError, match="contains no extractor"):
        read_features(folder / "extractor")
