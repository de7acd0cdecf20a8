"""A model that sees what a detector found: the same pixels whenever it looks, and a directory that stands alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chained import section, write_finder

import sightline
from sightline.config.evaluation import Evaluation
from sightline.data.cache import raw_pixels
from sightline.data.images import decode, fit
from sightline.data.store import SplitStore
from sightline.data.structures import Prediction
from sightline.evaluation.evaluate import evaluate_model
from sightline.evaluation.explain.making import explain_model
from sightline.evaluation.parity import is_same
from sightline.evaluation.predictor import load_predictor
from sightline.system.errors import UserError
from sightline.training.artifact.folder import read_card
from sightline.training.chains import cropped_data
from sightline.training.ladder.climb import train_model


def images(prepared: Path, split: str = "test") -> list[memoryview]:
    store = SplitStore(prepared / split)
    return [store.image(index) for index in range(len(store))]


def test_training_and_prediction_see_the_same_pixels(scenes: Path, chain: Path, tmp_path: Path) -> None:
    """What is cut out of the training images is what the trained model sees of them, to the last bit."""
    predictor, config = load_predictor(chain, engine="torch"), section("scenes")
    assert config.crop_by is not None
    image = config.input
    with cropped_data(config.crop_by, config, scenes, chain.parent) as cropped:
        for split in ("train", "val"):
            store = SplitStore(cropped / split)
            assert store.ids == SplitStore(scenes / split).ids
            learned = raw_pixels(store, image.size, image.channels, image.resize, tmp_path)
            seen, _ = predictor.seen(images(scenes, split))
            np.testing.assert_array_equal(learned, seen)
        assert not (cropped / "test").exists()  # which evaluation alone reads
    assert not cropped.exists()


def test_a_crop_is_what_its_region_says(scenes: Path, chain: Path) -> None:
    """The slow way: the detector by itself, its box made square by hand, the pixels taken one by one."""
    finder, predictor = load_predictor(chain / "detector"), load_predictor(chain)
    some = images(scenes)[:4]
    pixels, _ = predictor.seen(some)
    regions = set()
    for one, seen, found, said in zip(some, pixels, finder.predictions(some), predictor.predictions(some), strict=True):
        assert said.crop is not None
        assert said.crop.box == tuple(np.asarray(found.boxes)[0].tolist())
        left, top, right, bottom = said.crop.region
        whole = decode(one, 3)
        crop = np.full((bottom - top, right - left, 3), 114, np.uint8)
        for y in range(max(top, 0), min(bottom, whole.shape[0])):
            for x in range(max(left, 0), min(right, whole.shape[1])):
                crop[y - top, x - left] = whole[y, x]
        np.testing.assert_array_equal(seen, fit(crop, 8, "stretch"))
        regions.add(said.crop.region)
    assert len(regions) > 1


@pytest.mark.parametrize("kind", ["multilabel", "regression", "keypoints"])
def test_other_kinds_learn_from_crops(kind: str, scenes: Path, figures: Path, tmp_path: Path) -> None:
    prepared = figures if kind == "keypoints" else scenes
    write_finder(tmp_path / "models/finder", scenes)
    config = section(prepared.name, kind)
    train_model(config, 1, prepared, tmp_path / "models/own", models=tmp_path / "models")
    (tmp_path / "out").mkdir()
    metrics = evaluate_model(tmp_path / "models/own", prepared, Evaluation(resamples=100), tmp_path / "out")
    assert metrics["crop"] == {"images": len(images(prepared)), "without_box": 0}
    said = load_predictor(tmp_path / "models/own", engine="torch").predictions(images(prepared)[:3])
    assert all(one.crop is not None for one in said)
    if kind == "keypoints":  # in pixels of the original, and within what was seen
        for one in said:
            assert one.crop is not None
            assert one.keypoints is not None
            left, top, right, bottom = one.crop.region
            x, y = one.keypoints[0, :, 0], one.keypoints[0, :, 1]
            assert ((x >= max(left, 0) - 1) & (x <= right + 1) & (y >= max(top, 0) - 1) & (y <= bottom + 1)).all()


def test_the_directory_stands_alone(scenes: Path, chain: Path, tmp_path: Path) -> None:
    before = sightline.load(chain).predict(images(scenes)[:5])
    moved = tmp_path / "elsewhere"
    shutil.copytree(chain, moved)
    after = sightline.load(moved).predict(images(scenes)[:5])
    assert after == before
    assert {"label", "confidence", "crop"} <= after[0].keys()
    assert after[0]["crop"].keys() == {"box", "region", "label", "confidence"}
    json.dumps(after, allow_nan=False)


def test_both_graphs_say_what_the_networks_say(scenes: Path, chain: Path) -> None:
    assert (chain / "model.onnx").is_file()
    assert (chain / "detector/model.onnx").is_file()
    ours, theirs = (load_predictor(chain, engine=engine) for engine in ("torch", "onnx"))  # type: ignore[arg-type]
    assert theirs.onnx is not None
    pairs = zip(ours.predictions(images(scenes)), theirs.predictions(images(scenes)), strict=True)
    assert all(is_same(one, other) for one, other in pairs)


def test_the_same_chain_twice_is_the_same_bytes(scenes: Path, chain: Path, tmp_path: Path) -> None:
    train_model(section("scenes"), 1, scenes, tmp_path / "again", models=chain.parent)
    assert made(tmp_path / "again") == made(chain)
    write_finder(tmp_path / "models/finder", scenes, seed=5)
    train_model(section("scenes"), 1, scenes, tmp_path / "other", models=tmp_path / "models")
    assert read_card(tmp_path / "other").data_sha256 != read_card(chain).data_sha256
    assert made(tmp_path / "other")["weights.safetensors"] != made(chain)["weights.safetensors"]


def made(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_detector_that_is_another_is_refused(scenes: Path, chain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "namer"
    shutil.copytree(chain, folder)
    shutil.rmtree(folder / "detector")
    with pytest.raises(UserError, match="namer/detector: missing; restore it with dvc checkout"):
        load_predictor(folder)
    write_finder(folder / "detector", scenes, seed=9)
    with pytest.raises(UserError, match=r"detector: does not match model\.json"):
        load_predictor(folder)
    shutil.rmtree(folder / "detector")
    shutil.copytree(chain / "detector", folder / "detector")
    (folder / "detector/weights.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"weights\.safetensors: does not match"):
        load_predictor(folder)


def test_a_model_without_crops_is_written_as_before(scenes: Path, chain: Path, tmp_path: Path) -> None:
    card = json.loads((chain / "detector/model.json").read_text())
    assert card["format_version"] == 1
    assert not {"crop_by", "detector_sha256"} & card.keys()
    own = json.loads((chain / "model.json").read_text())
    assert own["format_version"] == 2
    assert own["crop_by"]["model"] == "finder"


def refusing(scenes: Path, root: Path, **crop: Any) -> Path:
    write_finder(root / "models/finder", scenes)
    config = section("scenes", crop_by={"model": "finder", "least_score": 1.0, **crop})
    train_model(config, 1, scenes, root / "models/namer", models=root / "models")
    return root / "models/namer"


def test_an_image_without_a_box(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a whole, or refused; measured it is in both cases, so that models are compared on the same images."""
    lenient = refusing(scenes, tmp_path / "one")
    assert "without a box are whole" in capsys.readouterr().out
    strict = refusing(scenes, tmp_path / "two", otherwise="refuse")
    some, size = images(scenes)[:3], [0, 0, 96, 96]
    said, refused = sightline.load(lenient).predict(some), sightline.load(strict).predict(some)
    assert all(one["crop"] == {"box": None, "region": size} for one in said)
    assert all(one == {"crop": {"box": None, "region": size}, "refused": "no box to crop to"} for one in refused)
    for name, model in (("a", lenient), ("b", strict)):
        (tmp_path / name).mkdir()
        metrics = evaluate_model(model, scenes, Evaluation(resamples=100), tmp_path / name)
        assert metrics["crop"] == {"images": len(images(scenes)), "without_box": len(images(scenes))}
    assert (tmp_path / "a/metrics.json").read_bytes() == (tmp_path / "b/metrics.json").read_bytes()


@pytest.mark.parametrize(
    ("crop", "told"),
    [
        (
            {"model": "nobody"},
            "crop_by.model: nobody: no model in models/nobody; train it first, with dvc repro",
        ),
        (
            {"model": "finder", "classes": ["1", "seven"]},
            "crop_by.classes: 'seven' is not among the classes of models/finder (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)",
        ),
    ],
)
def test_what_training_refuses(crop: dict[str, Any], told: str, scenes: Path, tmp_path: Path) -> None:
    write_finder(tmp_path / "models/finder", scenes)
    with pytest.raises(UserError) as caught:
        train_model(section("scenes", crop_by=crop), 1, scenes, Path("models/namer"))
    assert caught.value.lines == [told]
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"finder"}
    assert not list((tmp_path / ".sightline").rglob("*.arrow"))


def test_chosen_classes_alone_are_cropped_to(scenes: Path, tmp_path: Path) -> None:
    finder = load_predictor(write_finder(tmp_path / "models/finder", scenes))
    labels = [one.box_labels[0] for one in finder.predictions(images(scenes)) if one.box_labels]
    wanted = max(set(labels), key=labels.count)
    config = section("scenes", crop_by={"model": "finder", "least_score": 0.0, "classes": str(wanted)})
    train_model(config, 1, scenes, Path("models/namer"))
    said = load_predictor(Path("models/namer"), engine="torch").predictions(images(scenes))
    assert [one.crop is not None and one.crop.box is not None for one in said] == [label == wanted for label in labels]


def test_a_ladder_climbs_on_crops(scenes: Path, chain: Path, tmp_path: Path) -> None:
    ladder = {"rungs": ["fine_tune", "soup"], "seeds": 2, "resamples": 200}
    fitted = train_model(section("scenes", ladder=ladder), 1, scenes, tmp_path / "namer", models=chain.parent)
    assert fitted.ladder is not None
    assert fitted.card == read_card(tmp_path / "namer")
    assert (tmp_path / "namer/detector/model.json").is_file()


def test_explanations_look_at_crops(scenes: Path, chain: Path, tmp_path: Path) -> None:
    from sightline.config.explanations import Explanation

    settings = Explanation(dataset="scenes", methods=["occlusion"], samples=1, images=16)
    (tmp_path / "out").mkdir()
    [picture] = explain_model(chain, scenes, settings, 0, tmp_path / "out")
    assert picture.method == "occlusion"


def test_predictions_of_other_parts_are_not_the_same(scenes: Path, chain: Path) -> None:
    one, other = load_predictor(chain).predictions(images(scenes)[:2])
    assert is_same(Prediction(crop=one.crop), Prediction(crop=one.crop))
    assert not is_same(Prediction(crop=one.crop), Prediction(crop=other.crop))
