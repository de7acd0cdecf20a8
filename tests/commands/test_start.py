"""`sightline start`: entries in params.yaml with reasons, data taken in, and a project that trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.labs.start.choices import baseline, plans
from sightline.labs.start.chooser import busy_notes, guarded
from sightline.labs.start.defects import finder
from sightline.labs.start.describing import described
from sightline.labs.start.entries import Chosen, lines_of, plain, with_entries
from sightline.labs.start.facts import Facts, Objects
from sightline.labs.start.fitting import largest_that_fits
from sightline.labs.start.plan import Machine, Plan, Published
from sightline.labs.start.taking import chosen_way, destination, take_in
from sightline.labs.start.timing import StepTimes, epochs_within, model_seconds
from sightline.system.errors import UserError

CPU = Machine(2, gpu=False)
LITE = Published("timm:tf_efficientnet_lite0", 224, True)
WRITTEN = "  pets:\n    format: image_folder # 12 images\n    root: data/raw/pets\n"
ENTRY = {"format": Chosen("image_folder", "12 images"), "root": "data/raw/pets"}


def facts(task: str = "classification", **values: Any) -> Facts:
    known: dict[str, Any] = {
        "classes": ("cat", "dog"),
        "counts": {"cat": 50, "dog": 60},
        "samples": {"train": 110, "val": 20, "test": 20},
        "height": 300,
        "width": 400,
        "grey": False,
        "objects": None,
        "mirrored": False,
        "values": (),
        "left_out": {},
    }
    return Facts(task, **{**known, **values})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "\ndatasets:\n  pets:\n    format: image_folder # 12 images\n    root: data/raw/pets\n"),
        (
            "# mine\ndatasets:\n    old: {format: digits, root: data/embedded} # kept\n# below\nseed: 1\n",
            "# mine\ndatasets:\n    old: {format: digits, root: data/embedded} # kept\n    pets:\n"
            "      format: image_folder # 12 images\n      root: data/raw/pets\n# below\nseed: 1\n",
        ),
        ("datasets:\nseed: 1\n", f"datasets:\n{WRITTEN}seed: 1\n"),
        ("datasets: # none\n", f"datasets: # none\n{WRITTEN}"),
        ("datasets: null\nseed: 1\n", f"datasets:\n{WRITTEN}seed: 1\n"),
        ("datasets: {}\nseed: 1\n", f"datasets:\n{WRITTEN}seed: 1\n"),
    ],
)
def test_entries_are_added_and_every_other_byte_stays(text: str, expected: str) -> None:
    assert with_entries(text, {"datasets": {"pets": ENTRY}}, "params.yaml") == expected


def test_an_entry_that_exists_or_has_no_room_is_refused() -> None:
    with pytest.raises(UserError, match=r"datasets\.pets: exists already.*--name.*data/inbox/pets"):
        with_entries("datasets:\n  pets: {format: digits}\n", {"datasets": {"pets": ENTRY}}, "params.yaml")
    with pytest.raises(UserError, match=r"written in braces; add this by hand"):
        with_entries("datasets: {old: {format: digits}}\n", {"datasets": {"pets": ENTRY}}, "params.yaml")


def test_names_that_yaml_would_read_otherwise_are_quoted() -> None:
    entry = {"names": {"no": 0, "1": 1, "a: b": 2, "#x": 3}, "on": Chosen(None, "why"), "list": ["x", "off"]}
    text = "\n".join(lines_of({"e": entry}, 0))
    assert YAML(typ="safe").load(text) == {"e": plain(entry)}


def test_architectures_are_never_written_in_braces() -> None:
    assert lines_of({"task": {"kind": "detection", "backbone": "timm:x"}}, 0) == [
        "task:",
        "  kind: detection",
        "  backbone: timm:x",
    ]


def test_small_grey_images_begin_without_a_network() -> None:
    small = facts(height=28, width=28, grey=True)
    made = baseline("d", small, [LITE])
    assert made is not None
    assert plain(made[0])["extractor"]["kind"] == "hog"
    first = next(plans("d", small, [LITE], mirror=False, machine=CPU))
    assert plain(first.entry)["task"]["architecture"] == "mnist_cnn"
    assert plain(first.entry)["weights"] == "random"


def test_photographs_begin_with_weights() -> None:
    made = baseline("d", facts(), [LITE])
    assert made is not None
    assert plain(made[0])["extractor"] == {"kind": "network", "architecture": LITE.name, "layers": ["global_pool"]}
    sizes = [plain(plan.entry)["input"]["size"] for plan in plans("d", facts(), [LITE], mirror=False, machine=CPU)]
    assert sizes == [224, 192, 160, 128]


def test_small_objects_get_a_larger_input_and_finer_maps_and_tiny_ones_tiles() -> None:
    def made(small: float, side: int) -> Any:
        objects = Objects(5.0, small, 2 * small)
        return next(
            plans("d", facts("detection", objects=objects, height=side, width=side), [LITE], mirror=False, machine=CPU)
        )

    large, little, tiny = made(0.2, 640), made(0.02, 640), made(0.005, 2000)
    assert plain(large.entry)["input"]["size"] == 256
    assert plain(large.entry)["task"]["strides"] == [8, 16, 32]
    assert plain(little.entry)["input"]["size"] == 640
    assert plain(little.entry)["task"]["strides"] == [8, 16, 32]  # 13 px
    assert "10 px large in the images, 3.2 px at 640 px" in tiny.note
    assert "tiles of 192 px of each image" in tiny.note
    assert plain(tiny.entry)["tiling"] == {"size": 192, "overlap": 0.25}, "in which objects are 17 px large"
    assert plain(tiny.entry)["input"]["size"] == 320
    assert plain(tiny.entry)["task"]["strides"] == [8, 16, 32]
    assert not large.note
    assert "tiling" not in {**large.entry, **little.entry}


def test_lines_of_text_get_an_input_as_long_as_they_are() -> None:
    made = [
        next(plans("d", facts("text_recognition", height=48, width=width, longest_text=longest), [LITE], False, CPU))
        for width, longest in ((300, 8), (60, 3), (300, 80))
    ]
    assert [plain(plan.entry)["input"] for plan in made] == [{"size": 32, "width": width} for width in (200, 64, 480)]
    assert facts("text_recognition").unsafe_mirror()


def test_defects_are_found_by_the_middle_layers_of_a_network_or_by_filters() -> None:
    features, head = finder("d", facts("anomaly"), [Published("torchvision:mobilenet_v2", 224, True), LITE])
    assert plain(features)["extractor"]["layers"] == ["blocks.1", "blocks.2"]
    assert plain(head)["kind"] == "patch_core"
    assert plain(finder("d", facts("anomaly"), [])[0])["extractor"]["kind"] == "gabor"


def test_uneven_classes_get_weights_with_the_reason() -> None:
    uneven = facts(counts={"cat": 10, "dog": 100})
    task = next(plans("d", uneven, [LITE], mirror=False, machine=CPU)).entry["task"]
    assert task["class_weights"] == Chosen("balanced", "dog is 10 times as frequent as cat")
    assert "class_weights" not in next(plans("d", facts(), [LITE], mirror=False, machine=CPU)).entry["task"]


def test_a_gpu_gets_loader_processes() -> None:
    trainers = [
        next(plans("d", facts(), [LITE], mirror=False, machine=Machine(16, gpu))).entry["trainer"]
        for gpu in (True, False)
    ]
    assert trainers[0]["num_workers"].value == 8
    assert "num_workers" not in trainers[1]


@pytest.mark.parametrize(
    ("classes", "unsafe"),
    [
        (("0", "1", "2"), True),
        (("turn left", "turn right"), True),
        (("a", "b"), True),
        (("cat", "dog"), False),
        (("bright", "dark"), False),
    ],
)
def test_classes_that_a_mirror_would_change(classes: tuple[str, ...], unsafe: bool) -> None:
    assert bool(facts(classes=classes).unsafe_mirror()) is unsafe


def test_epochs_fill_the_time_and_never_more() -> None:
    times = StepTimes(step=0.5, image=0.01, opening=2.0, batch=10, train=100, val=20, test=20)
    assert times.epoch == pytest.approx(5.2)
    epochs = epochs_within(times, 120, start=5.0)
    assert sum(model_seconds(times, epochs, 5.0).values()) <= 120 < sum(model_seconds(times, epochs + 1, 5.0).values())


def test_a_regression_is_guarded_against_being_worse_than_the_mean(tmp_path: Path) -> None:
    text = "datasets:\n  cells: {format: csv, root: data/raw/cells, values: [count]}\n"
    model = {"cells-regressor": {"dataset": "cells", "task": "regression"}}
    entries, notes = guarded(text, "cells-regressor")
    assert not notes
    written = with_entries(text, {"models": model, **entries}, "params.yaml")
    assert "r2: 0 # below it the mean" in written
    (tmp_path / "params.yaml").write_text(written)
    assert load_params(tmp_path / "params.yaml").gate.guards_of("cells-regressor") == {"r2": 0}
    entries, notes = guarded(written, "other-regressor")
    assert not entries
    assert "other-regressor" in notes[0]


def test_a_busy_machine_is_said_to_be_busy() -> None:
    assert busy_notes(0.4, 2) == []
    assert "other programs keep 1.5 of 2 processors busy" in busy_notes(1.5, 2)[0]


@pytest.mark.parametrize(
    ("fixed", "minutes", "size", "most_timed"),
    [
        (0.96, 19, 448, 4),  # most of a small input's step is the same for all sizes
        (0.0, 19, 448, 2),  # in proportion to the pixels
        (0.0, 9, 384, 3),
        (0.96, 3, 192, 1),  # not even the smallest
    ],
)
def test_the_largest_input_that_fits_is_found_with_few_timings(
    fixed: float, minutes: float, size: int, most_timed: int
) -> None:
    samples = {"train": 205, "val": 87, "test": 72}
    cells = facts("detection", samples=samples, height=480, width=640, objects=Objects(14, 0.06, 0.16))
    choices = list(plans("cells", cells, [LITE], True, CPU))
    assert [plan.size for plan in choices] == [448, 384, 320, 256, 192]
    asked: list[int] = []

    def timed(plan: Plan) -> StepTimes:
        asked.append(plan.size)
        return StepTimes(fixed + 8e-6 * plan.size**2, 1e-6 * plan.size**2, 2.0, 8, 205, 87, 72)

    found = largest_that_fits(choices, timed, lambda times: epochs_within(times, 60 * minutes, 5.0))
    assert found.plan.size == size
    assert len(asked) <= most_timed
    larger = [plan for plan in choices if plan.size > size]
    assert all(epochs_within(timed(plan), 60 * minutes, 5.0) < plan.least for plan in larger)
    assert found.enough == (minutes > 3)


def test_a_folder_is_copied_linked_or_used_where_it_is(tmp_path: Path) -> None:
    project, source = tmp_path / "project", tmp_path / "photos"
    (source / "cat").mkdir(parents=True)
    (source / "cat" / "1.png").write_bytes(b"x")
    project.mkdir()
    assert chosen_way(source, project, "auto") == "copy"
    take_in(source, project, destination(source, project, "pets", "copy"), "copy")
    assert (project / "data/raw/pets/cat/1.png").read_bytes() == b"x"
    take_in(source, project, destination(source, project, "linked", "link"), "link")
    assert (project / "data/raw/linked").is_symlink()
    assert not take_in(source, project, Path("data/raw/pets"), "copy")  # the same images are there
    (source / "cat" / "2.png").write_bytes(b"y")
    with pytest.raises(UserError, match=r"exists already"):
        take_in(source, project, Path("data/raw/pets"), "copy")
    inside = project / "data/raw/pets"
    assert chosen_way(inside, project, "auto") == "in-place"
    assert destination(inside, project, "pets", "in-place") == Path("data/raw/pets")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sightline", *arguments]
    return subprocess.run(
        command,
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SIGHTLINE_WEIGHTS": ""},
    )


def write_shapes(root: Path, count: int = 30) -> Path:
    """Write small grey images of two classes that are easy to tell apart."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("bar", "disc")):
        (root / name).mkdir(parents=True)
        for number in range(count):
            image = random.integers(0, 40, (24, 24), np.uint8)
            x, y = random.integers(8, 16, 2).tolist()
            if label:
                cv2.circle(image, (x, y), 5, 220, -1)
            else:
                cv2.rectangle(image, (x - 7, y - 1), (x + 7, y + 1), 220, -1)
            cv2.imwrite(str(root / name / f"{number}.png"), image)
    return root


def test_a_folder_becomes_a_project_with_models(tmp_path: Path) -> None:
    write_shapes(tmp_path / "Shapes 1")
    done = run("start", "Shapes 1", "--project", "my shop", "--minutes", "6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cd 'my shop' && dvc repro" in done.stdout
    params = load_params(tmp_path / "my shop/params.yaml")
    assert set(params.datasets) == {"shapes-1"}
    assert set(params.registered()) == {"shapes-1-head", "shapes-1-classifier"}
    assert (tmp_path / "my shop/data/raw/shapes-1.dvc").is_file()
    again = run("start", "../Shapes 1", cwd=tmp_path / "my shop")
    assert again.returncode == 2
    assert "datasets.shapes-1: exists already" in again.stderr
    assert "Traceback" not in again.stderr


def test_errors_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(b"no image")
    done = run("start", "photos", "--project", "shop", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing that says what they show" in done.stderr
    assert not (tmp_path / "shop").exists()
    write_shapes(tmp_path / "shapes")
    full = run("start", "shapes", cwd=tmp_path)
    assert full.returncode == 2
    assert "--project" in full.stderr
    assert not (tmp_path / "params.yaml").exists()
    other = run("start", "shapes", "--task", "detection", "--project", "shop", cwd=tmp_path)
    assert other.returncode == 2
    assert "this teaches classification; detection needs boxes: COCO" in other.stderr


def test_too_few_images_are_refused_before_anything_is_copied(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", count=2)
    done = run("start", "shapes", "--project", "shop", cwd=tmp_path)
    assert done.returncode == 2
    assert "4 images are too few" in done.stderr
    assert not (tmp_path / "shop").exists()


def test_data_that_cannot_be_prepared_are_given_back(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", count=10)
    for path in (tmp_path / "shapes/disc").iterdir():
        path.write_bytes(b"no image")
    for path in sorted((tmp_path / "shapes/bar").iterdir())[2:]:
        path.write_bytes(b"no image")
    done = run("start", "shapes", "--project", "shop", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "shop").exists(), "a project that was made for it"
    # What was there before stays.
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/.mine").write_text("kept")
    assert run("start", "shapes", "--project", "shop", cwd=tmp_path).returncode == 2
    assert [path.name for path in (tmp_path / "shop").iterdir()] == [".mine"]
    assert run("init", "own", cwd=tmp_path).returncode == 0
    assert run("start", "shapes", "--project", "own", cwd=tmp_path).returncode == 2
    assert (tmp_path / "own/params.yaml").is_file()
    assert not (tmp_path / "own/data/raw/shapes").exists()
    assert not (tmp_path / "own/.sightline/start/shapes").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--project", "shapes"], "the project cannot be in the folder of the images"),
        (["--project", "shapes/inner"], "the project cannot be in the folder of the images"),
        (["--name", "My Shapes"], "--name 'My Shapes': use at most 40 lower-case letters"),
        (["--set", "foo=bar"], "foo: no such key of a data set"),
        (["--set", "split={train: 2}"], "split.train:"),
        (["--task", "foo"], "kinds of task are anomaly, classification, detection"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: list[str], told: str) -> None:
    write_shapes(tmp_path / "shapes", count=6)
    done = run("start", "shapes", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shapes"]
    assert sorted(path.name for path in (tmp_path / "shapes").iterdir()) == ["bar", "disc"]


def test_what_is_wrong_with_the_data_is_said_with_names() -> None:
    first = [{"source": f"cat/{number}.jpg", "reason": "empty"} for number in range(5)]
    found = {"empty": {"count": 5, "first": first}, "unannotated": {"count": 1, "first": [{"source": "a.jpg"}]}}
    names = ("WBC", "wbc", *"abcdef")
    doubtful = facts(
        "detection",
        classes=names,
        counts=dict.fromkeys(names, 1),
        samples={"train": 9, "val": 1, "test": 1},
        objects=Objects(1.0, 0.1, 0.1),
        left_out={"empty": 5},
        findings=found,
    )
    summary, *lines = described(doubtful, "cells")
    assert "8 classes (WBC, wbc, a, b, c, d and 2 more)" in summary
    assert lines[0].startswith("5 images are left out (5 empty): cat/0.jpg, cat/1.jpg, cat/2.jpg; data/prepared/cells/")
    assert lines[1] == "no annotations, so learned as without objects: a.jpg"
    assert lines[2].startswith("WBC and wbc differ only in case; one class?")
    assert lines[3].startswith("1 test image: too few to judge a model")
    assert len(described(facts(), "pets")) == 1
