"""Candidates as settings of a model, and the winner's way into params.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sightline.config import load_params
from sightline.labs.choose.cost import Limits
from sightline.labs.choose.journal import Record
from sightline.labs.choose.outcome import Estimate, Outcome
from sightline.labs.choose.settings import Settings, possible
from sightline.labs.choose.space import Candidate
from sightline.labs.choose.subject import model_to_choose
from sightline.labs.choose.writing import with_reason, write_choice
from sightline.system.errors import UserError

TEXT = """\
# mine
seed: 7
datasets:
  digits: {format: digits, root: data/embedded}
  empty: {format: digits, root: data/embedded}
trainer: {early_stopping: {patience: 3}} # for all
models:
  first: {dataset: digits, task: classification, weights: random} # in braces
  # about it
  net: # learns digits
    dataset: digits # scanned
    task: {kind: classification, architecture: mnist_cnn}
    weights: random
    recipe: fast # quick
    input: {size: 32, channels: 1}
# the end
"""
BASE = Settings(TEXT, "net")
PLAIN = Candidate("fast", "mnist_cnn", 32, 1.0)


def test_the_model_as_it_is_only_ends_with_its_last_epoch() -> None:
    assert BASE.changes(PLAIN) == {"trainer.keep": "last", "trainer.early_stopping": None}
    made = BASE.of(PLAIN).model
    assert (made.trainer.keep, made.trainer.early_stopping, made.trainer.max_epochs) == ("last", None, 8)


def test_a_recipe_fills_what_is_left_and_a_rate_takes_its_optimizer_along() -> None:
    good = BASE.of(Candidate("good", "mnist_cnn", 24, 2.0)).model
    plain = BASE.of(Candidate("good", "mnist_cnn", 32, 1.0)).model
    assert (good.recipe.name, good.input.size) == ("good", 24)  # type: ignore[union-attr]
    assert good.optimizer.lr == pytest.approx(2 * plain.optimizer.lr)  # type: ignore[union-attr]
    rest = {"optimizer": {"lr"}, "input": {"size"}}
    assert good.model_dump(exclude=rest) == plain.model_dump(exclude=rest)
    assert good.trainer.max_epochs == 30
    assert BASE.of(Candidate("good", "mnist_cnn", 32, 1.0), most_epochs=4).model.trainer.max_epochs == 4
    assert BASE.of(PLAIN, most_epochs=50).model.trainer.max_epochs == 8  # never more than recipe or section say


@pytest.mark.parametrize(
    "layout", ["{name: fast, mirror: true}", "\n      name: fast # quick\n      mirror: true # both"]
)
def test_a_recipe_with_mirror_keeps_it(layout: str) -> None:
    text = TEXT.replace("recipe: fast # quick\n", f"recipe: {layout}\n").replace(": \n", ":\n")
    made = Settings(text, "net").of(Candidate("good", "mnist_cnn", 24, 1.0)).model
    assert made.recipe is not None
    assert (made.recipe.name, made.recipe.mirror, made.input.size) == ("good", True, 24)


def test_a_network_is_named_where_the_task_was_a_word() -> None:
    short = Settings(TEXT, "first")
    changes = short.changes(Candidate(None, "timm:test_resnet", short.model.input.size, 1.0))
    assert changes["task"] == {"kind": "classification", "architecture": "timm:test_resnet"}
    assert possible(BASE, Candidate("fast", "timm:test_resnet", 4, 1.0)) is None  # an input of 4 px is none


def test_a_key_is_a_function_of_the_settings() -> None:
    keys = {BASE.of(Candidate("good", "mnist_cnn", 32, rate)).key("c") for rate in (1.0, 0.5, 2.0)}
    assert len(keys) == 3
    again = Settings(TEXT.replace("# mine", "# another comment"), "net")
    assert again.of(PLAIN).key("c") == BASE.of(PLAIN).key("c") != BASE.of(PLAIN).key("other data")


def outcome(changes: dict[str, object]) -> Outcome:
    winner = Record(4, "k", Candidate("good", "mnist_cnn", 32, 2.0), "finished", 1, 9.0, 8.0, {"score": 0.99})
    estimates = Estimate(0.99, 0.97, 1.0, 130), Estimate(0.96, 0.93, 0.99, 140)
    return Outcome(
        "net", "digits", "accuracy", False, 0.95, Limits(), 60.0, 59.0, (winner,), (), winner, *estimates, changes
    )


def test_the_winner_is_written_with_its_reason_and_every_other_byte_stays(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(TEXT)
    candidate = Candidate("good", "mnist_cnn", 24, 2.0)
    write_choice(file, outcome(BASE.changes(candidate)), TEXT)
    text = file.read_text()
    own = [line for line in text.splitlines() if "sightline choose:" in line]
    assert own == [
        "  # sightline choose: good, mnist_cnn, 32 px, lr x 2, best of 1 in 1 min; accuracy 0.960 (0.930 to 0.990) on "
        "140 validation images that did not choose it; reports/choose/net.html"
    ]
    assert load_params(file).models["net"] == BASE.of(candidate).model
    written = text.replace(own[0] + "\n", "")
    kept = [line for line in TEXT.splitlines() if line in written.splitlines()]
    assert len(kept) == len(TEXT.splitlines()) - 2  # recipe and size
    assert "    recipe: good # quick\n" in written
    write_choice(file, outcome({"input.size": 16}), text)
    assert file.read_text().count("sightline choose:") == 1


def test_a_model_that_was_edited_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    other, own, gone = (
        TEXT.replace("# mine", "# hers"),
        TEXT.replace("fast # quick", "good"),
        TEXT.replace("net:", "n:"),
    )
    file.write_text(other)
    write_choice(file, outcome({"input.size": 16}), TEXT)
    assert load_params(file).models["net"].input.size == 16
    for text in (own, gone):
        file.write_text(text)
        with pytest.raises(UserError, match=r"models\.net: was edited while the search ran"):
            write_choice(file, outcome({"input.size": 16}), TEXT)
        assert file.read_text() == text


def test_a_reason_needs_a_line_of_its_own() -> None:
    text = "models: {net: {dataset: digits}}\n"
    assert with_reason(text, "net", "why") == text
    dos = "models:\r\n  net:\r\n    dataset: digits\r\n"
    assert with_reason(dos, "net", "why") == "models:\r\n  # why\r\n  net:\r\n    dataset: digits\r\n"
    assert YAML(typ="safe").load(with_reason(dos, "net", "why")) == YAML(typ="safe").load(dos)


def test_a_data_set_stands_for_its_only_network(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(TEXT)
    params = load_params(file)
    assert model_to_choose(params, file, "net") == "net"
    with pytest.raises(UserError, match="digits: has several networks; name one of first, net"):
        model_to_choose(params, file, "digits")
    assert model_to_choose(params, file, "empty") is None
    with pytest.raises(UserError, match=r"nett: no model or data set of .*did you mean net\?"):
        model_to_choose(params, file, "nett")
