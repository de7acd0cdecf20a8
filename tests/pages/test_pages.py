"""Pages of real evaluations of every kind of task: complete, escaped, without a network, the same bytes each time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sklearn.datasets
from page_project import MODEL_MD5, OLD_MD5, entry, make_project, outcome, write_ledger
from PIL import Image

from sightline.config import Params, load_params
from sightline.config.errors import ConfigError
from sightline.operations.pages import make_pages
from sightline.operations.pages.pictures import picture
from sightline.registry.grounds import GuardCheck
from sightline.registry.ledger import Ledger
from sightline.registry.outcomes import in_force
from sightline.system.errors import UserError
from sightline.system.files import read_json, write_json

DETECTOR = {"backbone": "timm:test_resnet", "strides": [4, 8, 16], "width": 32, "head_convs": 1}
CNN = {"architecture": "mnist_cnn"}
KINDS: dict[str, tuple[dict[str, Any], str, int, int]] = {
    "classification": (CNN, "digits", 28, 1),
    "multilabel": (CNN, "scenes", 32, 3),
    "regression": (CNN, "scenes", 32, 3),
    "localization": (CNN, "scenes", 32, 3),
    "detection": ({"architecture": "fcos", **DETECTOR}, "scenes", 64, 3),
    "sliding_window": ({**CNN, "window": 32, "stride": 16}, "scenes", 64, 3),
    "instance_segmentation": (DETECTOR, "scenes", 64, 3),
    "semantic_segmentation": ({"depth": 1}, "scenes", 32, 3),
    "keypoints": ({"backbone": "timm:test_resnet", "width": 32}, "figures", 64, 3),
    "autoencoder": ({}, "digits", 28, 1),
    "text_recognition": ({"width": 8, "hidden": 16}, "strings", 64, 3),
    "style_network": (
        {
            "paintings": str(Path(sklearn.datasets.__file__).with_name("images")),
            "styles": ["china.jpg", "flower.jpg"],
            "width": 4,
            "blocks": 1,
            "loss_network_weights": "random",
        },
        "scenes",
        32,
        3,
    ),
}


FAST = ("classification", "detection", "semantic_segmentation")


class Parsed(HTMLParser):
    """Elements and texts of a page, and whether its elements nest."""

    VOID = frozenset(("meta", "link", "img", "br", "input", "hr"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(" ".join(data.split()))

    def text(self) -> str:
        return " ".join(filter(None, self.texts))


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, scenes: Path, figures: Path, strings: Path
) -> tuple[Path, Params]:
    """A project with a model of some kinds, evaluated once; tests copy what they change."""
    data = {"digits": digits, "scenes": scenes, "figures": figures, "strings": strings}
    return some_project(tmp_path_factory.mktemp("pages") / "project", FAST, data)


def some_project(root: Path, kinds: Iterable[str], data: dict[str, Path]) -> tuple[Path, Params]:
    models = {}
    for kind in kinds:
        task, name, size, channels = KINDS[kind]
        models[kind.replace("_", "-")] = ({"kind": kind, **task}, data[name], size, channels)
    return root, make_project(root, models)


@pytest.fixture(scope="module")
def pages(project: tuple[Path, Params]) -> Path:
    root, params = project
    write_ledger(root, entry("classification", "promote", "first version"))
    assert make_pages(params, root, [outcome(root, "classification")]) == list(params.models)
    return root


@pytest.fixture
def one(project: tuple[Path, Params], tmp_path: Path) -> tuple[Path, Params]:
    """A copy of the project with its classifier alone."""
    root = tmp_path / "one"
    for part in ("models/classification", "reports/classification", "data/prepared/digits"):
        shutil.copytree(project[0] / part, root / part)
    (root / "release").mkdir()
    shutil.copy(project[0] / "release/classification.json", root / "release")
    text = (project[0] / "params.yaml").read_text()
    (root / "params.yaml").write_text(text)
    params = load_params(root / "params.yaml")
    return root, params.model_copy(update={"models": {"classification": params.models["classification"]}})


def page_of(root: Path, name: str = "classification") -> str:
    return (root / "reports" / name / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", FAST)
def test_a_page_is_complete_and_well_formed(pages: Path, kind: str) -> None:
    check(pages, kind)


@pytest.mark.slow
def test_a_page_of_every_other_kind_is_complete_and_well_formed(
    tmp_path: Path, digits: Path, scenes: Path, figures: Path, strings: Path
) -> None:
    kinds = [kind for kind in KINDS if kind not in FAST]
    root, params = some_project(
        tmp_path / "project", kinds, {"digits": digits, "scenes": scenes, "figures": figures, "strings": strings}
    )
    make_pages(params, root, [])
    for kind in kinds:
        check(root, kind)


def check(pages: Path, kind: str) -> None:
    """Assert that a page has its parts, and that its elements nest, are named and refer to what is there."""
    name = kind.replace("_", "-")
    page = page_of(pages, name)
    parsed = Parsed(page)
    text = parsed.text()
    metrics = read_json(pages / "reports" / name / "evaluation" / "metrics.json")
    for wanted in (
        name,
        "Results",
        "By slice",
        "Worst images",
        "Training",
        "Data",
        "Rebuild",
        f"{metrics['samples']} test",
    ):
        assert wanted in text
    assert f"{metrics['headline']['value']:.3f}"[:5] in text or f"{metrics['headline']['value']:.1f}" in text
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("h1") == tags.count("main") == 1
    assert {"nav", "header", "footer", "caption"} <= set(tags)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:url\(|href=")#([^")]+)', page)
    assert set(targets) <= set(ids)
    assert all(attributes["alt"] for tag, attributes in parsed.elements if tag == "img")
    assert all("scope" in attributes for tag, attributes in parsed.elements if tag == "th")
    assert len(page) < 2_000_000


def test_nothing_is_loaded_from_elsewhere(pages: Path) -> None:
    for path in pages.glob("reports/**/index.html"):
        page = path.read_text(encoding="utf-8")
        assert "http:" not in page
        assert "https:" not in page
        for _, attributes in Parsed(page).elements:
            for name in ("src", "href", "action", "data"):
                assert (attributes.get(name) or "#").startswith(("#", "data:image/", "../index", "evaluation/")) or (
                    path.parent.name == "reports"
                )


def test_the_overview_has_every_model_and_data_set(pages: Path, project: tuple[Path, Params]) -> None:
    parsed = Parsed((pages / "reports/index.html").read_text(encoding="utf-8"))
    links = {attributes.get("href") for tag, attributes in parsed.elements if tag == "a"}
    assert {f"{name}/index.html" for name in project[1].models} <= links
    assert {f"#data-{name}" for name in ("digits", "scenes")} <= links
    assert "champion first version" in parsed.text()


def test_the_same_bytes_twice_and_only_what_changed(one: tuple[Path, Params]) -> None:
    root, params = one
    assert make_pages(params, root, []) == ["classification"]
    first, overview = page_of(root), (root / "reports/index.html").read_bytes()
    assert make_pages(params, root, []) == []
    assert make_pages(params, root, [], force=True) == ["classification"]
    assert page_of(root) == first
    assert (root / "reports/index.html").read_bytes() == overview
    curves = root / "reports/classification/training/curves.csv"
    curves.write_text(curves.read_text() + "2,0.0001,0.5,0.9,1\n")
    assert make_pages(params, root, []) == ["classification"]
    write_ledger(root, entry("classification", "promote", "first version"))
    assert make_pages(params, root, [outcome(root, "classification")]) == ["classification"]
    assert make_pages(params, root, [outcome(root, "classification")]) == []
    assert "version 3" in Parsed(page_of(root)).text()


def test_names_are_escaped_everywhere(one: tuple[Path, Params]) -> None:
    root, params = one
    bad = '<b>&"0.98765 #2563eb'
    folder = root / "reports/classification/evaluation"
    for name in ("per_class.csv", "confusion.csv"):
        lines = (folder / name).read_text().splitlines()
        quoted = '"' + bad.replace('"', '""') + '"'
        lines = [lines[0], *(re.sub(r"(^|,)3(?=,|$)", rf"\g<1>{quoted}", line) for line in lines[1:])]
        (folder / name).write_text("\n".join(lines) + "\n")
    card = root / "data/prepared/digits/card.json"
    values = read_json(card)
    left_out = {"left_out": "sample", "count": 7, "first": [{"source": "<script>x</script>", "reason": bad}]}
    write_json(card, {**values, "findings": {"truncated": left_out}})
    (root / "data/prepared/digits/quarantine.csv").write_text("source,reason\n<i>a</i>,<u>b</u>\n")
    write_ledger(root, entry("classification", "promote", "by hand: <em>because</em>", code="by_hand"))
    make_pages(params, root, [])
    page = page_of(root)
    for tag in ("<b>", "<i>", "<u>", "<em>", "<script>x"):
        assert tag not in page
    text = Parsed(page).text()
    assert text.count(bad) >= 4  # table, matrix, chart, finding
    assert "<script>x</script>" in text
    assert "by hand, whatever the gate said: <em>because</em>." in text


def test_missing_parts_are_left_out(one: tuple[Path, Params]) -> None:
    root, params = one
    folder = root / "reports/classification/evaluation"
    for path in folder.iterdir():
        if path.name != "metrics.json":
            path.unlink()
    for part in ("release", "models", "data", "reports/classification/training"):
        shutil.rmtree(root / part)
    metrics = read_json(folder / "metrics.json")
    metrics["headline"] = {"name": "accuracy", "value": 0.5}
    write_json(folder / "metrics.json", {name: metrics[name] for name in ("task", "headline", "samples")})
    make_pages(params, root, [])
    text = Parsed(page_of(root)).text()
    assert "not released" in text
    for part in ("Training", "Worst images", "Rebuild", "Decisions", "Export"):
        assert part not in text


def test_what_says_nothing_is_not_shown_and_what_to_do_is(one: tuple[Path, Params]) -> None:
    root, params = one
    path = root / "reports/classification/evaluation/metrics.json"
    metrics = read_json(path)
    metrics["interval"]["balanced_accuracy"] = {"low": 1.0, "high": 1.0}
    write_json(path, metrics)
    write_ledger(root, entry("classification", "promote", "first version", git_sha=None))
    make_pages(params, root, [outcome(root, "classification")])
    text = Parsed(page_of(root)).text()
    assert "1.000 to 1.000" not in text
    assert "the same in every resample" in text
    assert "sightline predict classification@champion IMAGE sightline serve classification@champion" in text
    assert "none when it was registered: `git commit`" in text
    assert "top 5" in text  # of ten classes
    card = root / "data/prepared/digits/card.json"
    write_json(card, {**read_json(card), "classes": list("012345")})
    make_pages(params, root, [outcome(root, "classification")])
    assert "top 5" not in Parsed(page_of(root)).text()


def test_a_refused_challenger_says_so(one: tuple[Path, Params]) -> None:
    root, params = one
    first = entry("classification", "promote", "first version", model_md5=OLD_MD5)
    changes = {"champion_md5": OLD_MD5, "gain": -0.125, "low": -0.2, "high": 0.01}
    write_ledger(root, first, entry("classification", "refuse", "worse: gain -0.1250", **changes))
    make_pages(params, root, [])
    text = Parsed(page_of(root)).text()
    assert "challenger The gate refused it: worse: gain -0.1250. The champion is model bbbbbbbb, accuracy 0.500" in text
    assert "-0.125" in text
    assert f"git checkout {'c' * 40}" in text
    known = replace(outcome(root, "classification"), numbers={OLD_MD5: "1", MODEL_MD5: "3"})
    known = in_force(known, Ledger(root / "registry/ledger.jsonl"))
    make_pages(params, root, [known])
    assert "The champion is version 1 (bbbbbbbb), accuracy 0.500" in Parsed(page_of(root)).text()
    assert "1 champion promoted: first version" in Parsed((root / "reports/index.html").read_text()).text()
    back = entry("classification", "rollback", "rolled back by hand", model_md5=OLD_MD5, champion_md5=MODEL_MD5)
    write_ledger(root, first, entry("classification", "promote", "better", champion_md5=OLD_MD5), back)
    make_pages(params, root, [])
    assert "It was champion until 2026-01-02: rolled back by hand." in Parsed(page_of(root)).text()


def test_the_page_follows_another_headline_and_tells_guards(one: tuple[Path, Params]) -> None:
    root, params = one
    folder = root / "reports/classification/evaluation"
    metrics = read_json(folder / "metrics.json")
    chosen = {"name": "recall_of_3", "value": 0.25, "low": 0.125, "high": 0.375}
    write_json(folder / "metrics.json", {**metrics, "headline": chosen, "recall_of_3": 0.25})
    guards = (GuardCheck(metric="log_loss", bound=0.5, value=2.3), GuardCheck(metric="accuracy", bound=0.1, value=0.2))
    below = entry("classification", "refuse", "guard: log_loss 2.3000 above 0.5", code="guard", guards=guards)
    write_ledger(root, below)
    make_pages(params, root, [outcome(root, "classification")])
    text = Parsed(page_of(root)).text()
    assert "0.250 recall of 3, 95% interval 0.125 to 0.375" in text
    assert "Share of this class that is found" in text
    assert "The gate refused it: guard: log_loss 2.3000 above 0.5. No version of this name is champion yet." in text
    assert "guard: log_loss 2.3000 above 0.5; guard: accuracy 0.2000 at least 0.1" in text
    overview = (root / "reports/index.html").read_text()
    assert "refused: breaks a guard, log_loss 2.3000 above 0.5" in overview


def test_explanations_show_their_checks(one: tuple[Path, Params]) -> None:
    root, params = one
    folder = root / "reports/classification/explanations"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    checks = [
        {"name": "deletion", "value": 0.125, "of_random": 0.5, "passes": True, "told": "falls"},
        {"name": "random_weights", "value": 0.75, "of_random": None, "passes": False, "told": "shows <edges>"},
    ]
    shown = {"file": "a.png", "title": "Grad-CAM", "caption": "Where.", "source": "Selvaraju et al. 2017"}
    write_json(folder / "explanations.json", {"pictures": [{**shown, "method": "grad_cam", "checks": checks}]})
    metrics = root / "reports/classification/evaluation/metrics.json"
    write_json(metrics, {**read_json(metrics), "onnx": {"largest_difference": 1.25e-6, "agrees": True}})
    make_pages(params, root, [])
    text = Parsed(page_of(root)).text()
    assert "passed deletion 0.125, random 0.500 falls" in text
    assert "failed random weights 0.750 shows <edges>" in text
    assert "agrees yes largest difference between outputs 1.25e-06" in text
    (folder / "explanations.json").write_text('{"pictures": [{}]}')
    with pytest.raises(UserError, match=r"explanations\.json: damaged"):
        make_pages(params, root, [])


def test_a_network_in_integers_is_shown_or_why_there_is_none(one: tuple[Path, Params]) -> None:
    root, params = one
    path = root / "release/classification.json"
    sizes = {"bytes": 250_000, "size_ratio": 0.26, "layers_int8": 3, "layers": 4, "layers_share": 0.75}
    loss = {"value": 0.0037, "low": -0.0037, "high": 0.0148}
    values = {"metric": "accuracy", "samples": 1270, "max_loss": 0.02, "fp32": 0.9704, "int8": 0.9667, "tried": 2}
    made = {**sizes, **values, "loss": loss, "kept_fp32": ["Conv_1"], "calibration_images": 128}
    write_json(path, {**read_json(path), "int8": {"released": True, **made}, "int8_md5": MODEL_MD5})
    make_pages(params, root, [])
    text = Parsed(page_of(root)).text()
    assert "compared with it on the validation images" in text
    assert "size 0.25 MB, 26% of model.onnx layers in int8 3 of 4 (75%) layers in fp32 Conv_1" in text
    assert "+0.0037 [-0.0037, +0.0148], at most 0.02" in text
    write_json(path, {**read_json(path), "int8": {"released": False, "reason": "it loses <much>"}})
    make_pages(params, root, [])
    assert "int8 network not released: it loses <much>" in Parsed(page_of(root)).text()


def test_the_steps_of_a_training_are_shown(one: tuple[Path, Params]) -> None:
    root, params = one
    first = {"rung": "head", "score": 0.9, "gain": None, "low": None, "high": None, "kept": True, "reason": "the first"}
    tuned = {"rung": "fine_tune", "score": 0.95, "gain": 0.05, "low": 0.02, "high": 0.08, "kept": True}
    lost = {"rung": "soup", "score": 0.94, "gain": -0.01, "low": -0.03, "high": 0.01, "kept": False}
    steps = [first, {**tuned, "reason": "better"}, {**lost, "reason": "no difference beyond chance"}]
    ladder = {"metric": "accuracy", "confidence": 0.95, "samples": 270, "kept": "fine_tune", "rungs": steps}
    write_json(root / "reports/classification/training/ladder.json", ladder)
    make_pages(params, root, [])
    texts = Parsed(page_of(root)).texts
    assert any("270 validation images" in text for text in texts)
    assert {"last layer alone", "fine-tuning", "mean of the weights of several"} <= set(texts)
    assert "0.020 to 0.080" in texts
    assert texts.count("not kept") == 1
    assert any("the step “fine-tuning” was kept" in text for text in texts)


def test_names_that_cannot_be_reported_are_told(one: tuple[Path, Params]) -> None:
    root, params = one
    with pytest.raises(ConfigError, match=r"models\.classificatio: no such entry"):
        make_pages(params, root, [], ["classificatio"])
    shutil.rmtree(root / "reports/classification/evaluation")
    with pytest.raises(UserError, match=r"not evaluated yet; run `dvc repro evaluate@classification`"):
        make_pages(params, root, [], ["classification"])
    assert make_pages(params, root, []) == []
    assert "Not evaluated yet: classification." in (root / "reports/index.html").read_text()


def test_pictures_are_small_and_opaque(tmp_path: Path) -> None:
    Image.new("RGBA", (2000, 100), (0, 0, 0, 0)).save(tmp_path / "a.png")
    shown = picture(tmp_path / "a.png", "nothing")
    assert (shown.width, shown.height) == (1400, 70)
    assert shown.uri.startswith("data:image/webp;base64,")
    assert len(shown.uri) < 1000


def test_a_page_says_what_more_data_is_worth_and_follows_the_other_models(one: tuple[Path, Params]) -> None:
    root, params = one
    features = {"dataset": "digits", "input": {"size": 8, "channels": 1}, "extractor": {"kind": "pixels"}}
    head = {"dataset": "digits", "features": "pixels", "kind": "nearest_centroid"}
    sections = {"features": {"pixels": features}, "heads": {"svm": head}}
    params = Params.model_validate({**params.model_dump(), **sections})
    make_pages(params, root, [])
    assert "Twice the training data" not in page_of(root)
    gain = {"gain": 0.021, "low": 0.008, "high": 0.035}
    classes = [{"class": "<7>", "train_images": 9, "judged_images": 9, "recall": 0.5, "twice_the_data": gain}]
    curve = [{"images": size, "error": 0.2, "deviation": 0.01} for size in (10, 20, 40)]
    values = {"train_images": 50, "confidence": 0.95, "accuracy": 0.8, "twice_the_data": gain, "most_learned": 10_000}
    (root / "reports/svm/training").mkdir(parents=True)
    write_json(root / "reports/svm/training/learning_curve.json", {**values, "curve": curve, "classes": classes})
    assert make_pages(params, root, []) == ["classification"]
    parsed = Parsed(page_of(root))
    assert "Twice the training data (100 images instead of 50) is worth about +2.1 points of accuracy" in parsed.text()
    assert "<7>" in parsed.texts
    assert any("Accuracy over training images, from 80.0 %" in str(own.get("aria-label")) for _, own in parsed.elements)
    assert make_pages(params, root, []) == []
